//! The `.txt` file that Criteo's partner portal offers for download when a key pair is created.
//!
//! The secret is shown once and downloaded with the client id (Criteo docs, page Authorization Code Setup). How the file
//! is laid out is not documented, so every plausible way is read: `client_id: X`, `Client ID = X`, a label above its
//! value, JSON; in any order and case, with a byte order mark, with Windows line ends. What is not found is named, and
//! nothing of the file is ever shown.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::grant::ClientCredentials;
use crate::secret::{self, SecretFileError, SecretString};

/// Why a credentials file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsFileError {
    /// It cannot be read.
    #[error("the credentials file cannot be used")]
    File(#[from] SecretFileError),
    /// Something is not in it.
    #[error(
        "`{}` has no {missing}; expected are two lines like `client_id: …` and `client_secret: …`, as in the file that \
         Criteo's partner portal downloads", path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// What was not found.
        missing: &'static str,
    },
    /// It holds several key pairs.
    #[error("`{}` names more than one {what}; keep one key pair in it", path.display())]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// What is there more than once.
        what: &'static str,
    },
}

/// Reads a key pair from a file, unless other users of the machine can read it.
pub fn read_credentials_file(path: &Path) -> Result<ClientCredentials, CredentialsFileError> {
    parse(path, &secret::read_text(path)?)
}

pub(crate) fn parse(path: &Path, text: &str) -> Result<ClientCredentials, CredentialsFileError> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let mut found = Found::default();
    match serde_json::from_str(text) {
        Ok(document @ (Value::Object(_) | Value::Array(_))) => found.read_json(&document),
        _ => found.read_lines(text),
    }
    let client_id = one(path, "client id", found.ids)?;
    let client_secret = SecretString::from(one(path, "client secret", found.secrets)?);
    Ok(ClientCredentials { client_id, client_secret })
}

fn one(path: &Path, what: &'static str, mut values: Vec<String>) -> Result<String, CredentialsFileError> {
    values.dedup();
    let value = values.pop().ok_or_else(|| CredentialsFileError::Missing { path: path.to_owned(), missing: what })?;
    if values.is_empty() { Ok(value) } else { Err(CredentialsFileError::Ambiguous { path: path.to_owned(), what }) }
}

#[derive(Clone, Copy)]
enum Part {
    Id,
    Secret,
}

/// What a label stands for, whatever its case and punctuation.
fn part(label: &str) -> Option<Part> {
    let letters: String = label.chars().filter(|letter| letter.is_alphanumeric()).collect();
    match letters.to_lowercase().as_str() {
        "clientid" | "apikey" | "apikeyid" | "apiclientid" | "appclientid" => Some(Part::Id),
        "clientsecret" | "apisecret" | "apikeysecret" | "apiclientsecret" | "appclientsecret" | "secretkey"
        | "secret" => Some(Part::Secret),
        _ => None,
    }
}

#[derive(Default)]
struct Found {
    ids: Vec<String>,
    secrets: Vec<String>,
}

impl Found {
    fn add(&mut self, part: Part, value: &str) {
        let value = value.trim();
        let value = value.strip_suffix(',').filter(|value| value.ends_with('"')).unwrap_or(value);
        let value = value.trim_matches(['"', '\'']).trim();
        if !value.is_empty() {
            match part {
                Part::Id => self.ids.push(value.to_owned()),
                Part::Secret => self.secrets.push(value.to_owned()),
            }
        }
    }

    fn read_json(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                for (label, value) in map {
                    match (part(label), value) {
                        (Some(part), Value::String(text)) => self.add(part, text),
                        (Some(part), Value::Number(number)) => self.add(part, &number.to_string()),
                        _ => self.read_json(value),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.read_json(value)),
            _ => {}
        }
    }

    fn read_lines(&mut self, text: &str) {
        let mut label_above = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match labelled(line) {
                Some((part, "")) => label_above = Some(part),
                Some((part, value)) => {
                    self.add(part, value);
                    label_above = None;
                }
                None => {
                    if let Some(part) = label_above.take() {
                        self.add(part, line);
                    }
                }
            }
        }
    }
}

/// Splits a line at its first separator, because values may contain `=` and `:` themselves.
fn labelled(line: &str) -> Option<(Part, &str)> {
    let (label, value) = match line.find([':', '=', '\t']) {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, ""),
    };
    // Environment files: `export CRITEO_CLIENT_ID=…`.
    let label = label.trim().trim_start_matches("export ").trim_start_matches("CRITEO_");
    part(label).map(|part| (part, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ExposeSecret;

    const SECRET: &str = "aB+c/d=:%e==";

    fn read(text: &str) -> Result<(String, String), CredentialsFileError> {
        let credentials = parse(Path::new("keys.txt"), text)?;
        Ok((credentials.client_id, credentials.client_secret.expose_secret().to_owned()))
    }

    #[test]
    fn every_plausible_layout_is_read_and_the_secret_arrives_whole() {
        for text in [
            "client_id: ID\nclient_secret: <S>",
            "client_secret=<S>\r\nclient_id=ID\r\n",
            "\u{feff}Client ID: ID\r\n\r\nClient Secret: <S>\r\n",
            "My application\nCLIENT-ID = \"ID\"\nclient-secret = \"<S>\"\ncreated: 2026-01-01",
            "Client ID\nID\n\nClient secret\n<S>\n",
            "client_id:\n  ID\nclient_secret:\n  <S>",
            "API key: ID\nAPI secret: <S>",
            "clientId\tID\nclientSecret\t<S>",
            "export CRITEO_CLIENT_ID=ID\nexport CRITEO_CLIENT_SECRET='<S>'",
            r#"{"client_secret": "<S>", "client_id": "ID", "name": "x"}"#,
            r#"{"data": [{"clientId": "ID", "clientSecret": "<S>"}]}"#,
            "\"client_id\": \"ID\",\n\"client_secret\": \"<S>\"",
        ] {
            let (id, secret) = read(&text.replace("<S>", SECRET)).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((id.as_str(), secret.as_str()), ("ID", SECRET), "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_of_the_file_is_shown() {
        let error = read("client_id: visible-id\npassword: visible-secret").expect_err("no secret").to_string();
        assert!(error.contains("`keys.txt` has no client secret") && !error.contains("visible"), "{error}");
        let error = read(SECRET).expect_err("no id").to_string();
        assert!(error.contains("has no client id") && !error.contains(SECRET), "{error}");
    }

    #[test]
    fn two_key_pairs_are_refused_because_nobody_can_tell_which_is_meant() {
        let error = read("client_id: a\nclient_secret: b\nclient_id: c\nclient_secret: d").expect_err("ambiguous");
        assert!(error.to_string().contains("more than one client id"), "{error}");
    }
}
