//! Where the credentials are, decided only when a command needs them: `demo`, `init` and `schema` need none.
//!
//! It says which source to use; it does not open files or exchange tokens (that is `auth`). Values are in
//! [`SecretString`], which cannot be printed.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::notice::Code;

use super::environment::{
    CLIENT_ID, CLIENT_SECRET, CLIENT_SECRET_FILE, CREDENTIALS_FILE, Environment, REFRESH_TOKEN, REFRESH_TOKEN_FILE,
};
use super::file::RawConfiguration;
use super::problem::{Located, Origin, Problem, Problems, Warning};

/// Where client id and secret come from.
#[derive(Clone, Debug)]
pub enum ClientSource {
    /// Both are known.
    Given {
        /// Client id.
        client_id: String,
        /// Client secret.
        client_secret: SecretString,
    },
    /// The id is known; a file holds the secret and nothing else.
    SecretFile {
        /// Client id.
        client_id: String,
        /// File with the secret.
        path: PathBuf,
    },
    /// The `.txt` of the partner portal holds both.
    CredentialsFile {
        /// The file.
        path: PathBuf,
    },
}

/// A refresh token that was given to an authorization-code app; one stored by `login` is found by `auth`.
#[derive(Clone, Debug)]
pub enum RefreshTokenSource {
    /// The token itself.
    Given(SecretString),
    /// A file that holds it and nothing else.
    File(PathBuf),
}

/// Everything that `auth` needs to get its first token.
#[derive(Clone, Debug)]
pub struct CredentialsSource {
    /// Client id and secret.
    pub client: ClientSource,
    /// The refresh token, where one was given.
    pub refresh_token: Option<RefreshTokenSource>,
}

/// What was said about credentials, not yet judged.
#[derive(Clone, Debug, Default)]
pub(super) struct CredentialsGiven {
    client_id: Option<Located<String>>,
    client_secret: Option<SecretString>,
    client_secret_file: Option<PathBuf>,
    credentials_file: Option<Located<PathBuf>>,
    refresh_token: Option<SecretString>,
    refresh_token_file: Option<PathBuf>,
}

impl CredentialsGiven {
    pub(super) fn gather(environment: &Environment, raw: &RawConfiguration, problems: &mut Vec<Problem>) -> Self {
        for name in [CLIENT_SECRET, REFRESH_TOKEN] {
            problems.extend(quoted(environment, name));
        }
        let mut text = |name| environment.text(name, problems);
        Self {
            client_id: text(CLIENT_ID).or_else(|| raw.client_id.clone()),
            client_secret: text(CLIENT_SECRET).map(|secret| secret.value.into()),
            client_secret_file: text(CLIENT_SECRET_FILE).map(|path| path.value.into()),
            credentials_file: text(CREDENTIALS_FILE)
                .or_else(|| raw.credentials_file.clone())
                .map(|path| path.map(PathBuf::from)),
            refresh_token: text(REFRESH_TOKEN).map(|token| token.value.into()),
            refresh_token_file: text(REFRESH_TOKEN_FILE).map(|path| path.value.into()),
        }
    }

    /// A client id that nobody will use, because the credentials file brings its own.
    pub(super) fn unused(&self) -> Option<Warning> {
        let has_secret = self.client_secret.is_some() || self.client_secret_file.is_some();
        let client_id = self.client_id.as_ref().filter(|_| !has_secret)?;
        let file = self.credentials_file.as_ref()?;
        let message = format!("the client id of {} is not used: {} brings its own", client_id.origin, file.origin);
        Some(Warning { code: Code::UnusedClientId, message })
    }

    pub(super) fn resolve(&self) -> Result<CredentialsSource, Problems> {
        self.refuse_two_answers()?;
        let secret_given = self.client_secret.is_some() || self.client_secret_file.is_some();
        let client = match (&self.client_secret, &self.client_secret_file, &self.credentials_file) {
            (Some(client_secret), _, _) => {
                ClientSource::Given { client_id: self.client_id()?, client_secret: client_secret.clone() }
            }
            (None, Some(path), _) => ClientSource::SecretFile { client_id: self.client_id()?, path: path.clone() },
            (None, None, Some(file)) => ClientSource::CredentialsFile { path: file.value.clone() },
            (None, None, None) => return Err(self.missing(secret_given)),
        };
        let given = self.refresh_token.clone().map(RefreshTokenSource::Given);
        let refresh_token = given.or_else(|| self.refresh_token_file.clone().map(RefreshTokenSource::File));
        Ok(CredentialsSource { client, refresh_token })
    }

    /// The client id where it is known without a secret, for commands that call nothing.
    pub(super) fn known_client_id(&self) -> Option<&str> {
        self.client_id.as_ref().map(|id| id.value.as_str())
    }

    /// The credentials file, where it is what brings the client ids.
    pub(super) fn file(&self) -> Option<&Path> {
        let has_secret = self.client_secret.is_some() || self.client_secret_file.is_some();
        self.credentials_file.as_ref().filter(|_| !has_secret).map(|file| file.value.as_path())
    }

    fn client_id(&self) -> Result<String, Problems> {
        self.client_id.as_ref().map(|id| id.value.clone()).ok_or_else(|| self.missing(true))
    }

    /// Two variables that answer the same question; guessing could use the wrong account.
    fn refuse_two_answers(&self) -> Result<(), Problems> {
        let file_variable = self.credentials_file.as_ref().filter(|file| matches!(file.origin, Origin::Variable(_)));
        let given: Vec<&'static str> = [
            self.client_secret.as_ref().map(|_| CLIENT_SECRET),
            self.client_secret_file.as_ref().map(|_| CLIENT_SECRET_FILE),
            file_variable.map(|_| CREDENTIALS_FILE),
        ]
        .into_iter()
        .flatten()
        .collect();
        let tokens = [
            self.refresh_token.as_ref().map(|_| REFRESH_TOKEN),
            self.refresh_token_file.as_ref().map(|_| REFRESH_TOKEN_FILE),
        ];
        let tokens: Vec<&'static str> = tokens.into_iter().flatten().collect();
        let given = if given.len() > 1 { given } else { tokens };
        match given.as_slice() {
            [first, second, ..] => Err(Problems::from(Problem {
                code: Code::ConflictingCredentials,
                origin: Origin::Variable(first),
                message: format!("`{first}` and `{second}` are both set, and either could be meant"),
                remedy: "unset one of them".to_owned(),
            })),
            _ => Ok(()),
        }
    }

    fn missing(&self, secret_given: bool) -> Problems {
        let (message, remedy) = match (&self.client_id, secret_given) {
            (None, true) => {
                ("a client secret is set, but no client id".to_owned(), format!("set `{CLIENT_ID}` to the app's id"))
            }
            (Some(id), _) => (
                format!("there is a client id ({}), but no client secret", id.origin),
                format!("set `{CLIENT_SECRET}` or `{CLIENT_SECRET_FILE}`"),
            ),
            (None, false) => (
                "no credentials are configured".to_owned(),
                format!(
                    "set `{CLIENT_ID}` and `{CLIENT_SECRET}` (or `{CLIENT_SECRET_FILE}`), or `{CREDENTIALS_FILE}` to \
                     the .txt that the Criteo partner portal downloads; `criteo-source demo` needs none"
                ),
            ),
        };
        Problems::from(Problem { code: Code::MissingCredentials, origin: Origin::Default, message, remedy })
    }
}

/// A secret in quotes: what a shell removes, an environment file of a container engine keeps.
fn quoted(environment: &Environment, name: &'static str) -> Option<Problem> {
    let value = environment.text(name, &mut Vec::new())?.value;
    is_quoted(&value).then(|| Problem {
        code: Code::InvalidValue,
        origin: Origin::Variable(name),
        message: "the value is in quotes, which are sent as a part of the secret".to_owned(),
        remedy: "remove the quotes at its beginning and end (`docker --env-file` and systemd keep them)".to_owned(),
    })
}

/// Whether a text begins and ends with the same kind of quotation marks.
pub(crate) fn is_quoted(text: &str) -> bool {
    let pairs = [('"', '"'), ('\'', '\''), ('\u{201c}', '\u{201d}'), ('\u{2018}', '\u{2019}'), ('`', '`')];
    text.chars().count() > 1 && pairs.iter().any(|(open, close)| text.starts_with(*open) && text.ends_with(*close))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn given(pairs: &[(&str, &str)]) -> CredentialsGiven {
        let environment = Environment::from_pairs(pairs.iter().copied());
        let mut problems = Vec::new();
        let given = CredentialsGiven::gather(&environment, &RawConfiguration::default(), &mut problems);
        assert!(problems.is_empty());
        given
    }

    #[test]
    fn id_and_secret_of_the_environment_are_used() {
        let source = given(&[(CLIENT_ID, "me"), (CLIENT_SECRET, "a+b"), (REFRESH_TOKEN, "r")]).resolve().unwrap();
        let ClientSource::Given { client_id, client_secret } = &source.client else { panic!("{source:?}") };
        assert_eq!((client_id.as_str(), client_secret.expose_secret()), ("me", "a+b"));
        assert!(matches!(source.refresh_token, Some(RefreshTokenSource::Given(_))));
        assert!(!format!("{source:?}").contains("a+b"));
    }

    #[test]
    fn files_are_named_and_not_opened() {
        let source = given(&[(CLIENT_ID, "me"), (CLIENT_SECRET_FILE, "/no/such")]).resolve().unwrap();
        assert!(matches!(source.client, ClientSource::SecretFile { .. }));
        let source = given(&[(CREDENTIALS_FILE, "/no/such.txt")]).resolve().unwrap();
        assert!(matches!(source.client, ClientSource::CredentialsFile { .. }));
    }

    #[test]
    fn what_is_missing_is_named_with_the_variable_to_set() {
        for (pairs, wanted) in [
            (&[][..], "CRITEO_CREDENTIALS_FILE"),
            (&[(CLIENT_ID, "me")][..], "set `CRITEO_CLIENT_SECRET`"),
            (&[(CLIENT_SECRET, "x")][..], "set `CRITEO_CLIENT_ID`"),
            (&[(CLIENT_SECRET_FILE, "x")][..], "set `CRITEO_CLIENT_ID`"),
        ] {
            let problems = given(pairs).resolve().unwrap_err();
            assert_eq!(problems.0[0].code, Code::MissingCredentials);
            assert!(problems.with_remedies().contains(wanted), "{problems}");
        }
    }

    #[test]
    fn a_secret_in_quotes_is_named_and_not_shown() {
        for (name, value) in
            [(CLIENT_SECRET, "\"s3cret\""), (CLIENT_SECRET, "'s3cret'"), (REFRESH_TOKEN, "\u{201c}s3cret\u{201d}")]
        {
            let environment = Environment::from_pairs([(CLIENT_ID, "me"), (name, value)]);
            let mut problems = Vec::new();
            CredentialsGiven::gather(&environment, &RawConfiguration::default(), &mut problems);
            let shown = Problems(problems).to_string();
            assert!(shown.contains(name) && shown.contains("in quotes") && !shown.contains("s3cret"), "{shown}");
        }
        assert!(!is_quoted("\"") && !is_quoted("\"a") && !is_quoted("a\"b\"") && !is_quoted("'a\""));
    }

    #[test]
    fn two_answers_are_refused_rather_than_guessed() {
        let problems =
            given(&[(CLIENT_ID, "me"), (CLIENT_SECRET, "x"), (CREDENTIALS_FILE, "y")]).resolve().unwrap_err();
        assert_eq!(problems.0[0].code, Code::ConflictingCredentials);
        let pairs = [(CLIENT_ID, "me"), (CLIENT_SECRET, "x"), (REFRESH_TOKEN, "y"), (REFRESH_TOKEN_FILE, "z")];
        assert!(given(&pairs).resolve().unwrap_err().with_remedies().contains(REFRESH_TOKEN_FILE));
    }
}
