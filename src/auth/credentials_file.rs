//! The `.txt` file that Criteo's partner portal offers for download when a key pair is created.
//!
//! The secret is shown once and downloaded with the client id (Criteo docs, page Authorization Code Setup). How the file
//! is laid out is not documented, so every plausible way is read: `client_id: X`, `Client ID = X`, a label above its
//! value, both on one line, a table, JSON; in any order and case, with a byte order mark, with Windows line ends. Several
//! key pairs, as an application may have, are kept in the order of the file. What is not found is named, and nothing of
//! the file is ever shown.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::grant::ClientCredentials;
use crate::secret::{self, ExposeSecret, SecretFileError, SecretString};

/// Key pairs that an application has at most (Criteo docs, page Authorization Code Setup).
const MAX_PAIRS: usize = 5;

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
    /// Ids and secrets cannot be told which belongs to which.
    #[error(
        "`{}` has {ids} client ids and {secrets} client secrets that do not form pairs; write each key pair as \
         `client_id: …` with its `client_secret: …` below", path.display()
    )]
    Unpaired {
        /// The file.
        path: PathBuf,
        /// Client ids in it.
        ids: usize,
        /// Client secrets in it.
        secrets: usize,
    },
    /// It holds more key pairs than an application can have.
    #[error(
        "`{}` has {count} key pairs, and an application has {MAX_PAIRS} at most; keep those of one application",
        path.display()
    )]
    TooMany {
        /// The file.
        path: PathBuf,
        /// Key pairs in it.
        count: usize,
    },
}

/// Reads the key pairs of a file, in its order, unless other users of the machine can read it.
pub fn read_credentials_file(path: &Path) -> Result<Vec<ClientCredentials>, CredentialsFileError> {
    parse(path, &secret::read_text(path)?)
}

pub(crate) fn parse(path: &Path, text: &str) -> Result<Vec<ClientCredentials>, CredentialsFileError> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let mut found = Found::default();
    match serde_json::from_str(text) {
        Ok(document @ (Value::Object(_) | Value::Array(_))) => found.read_json(&document),
        _ => found.read_lines(text),
    }
    let pairs = found.pairs(path)?;
    if pairs.len() > MAX_PAIRS {
        return Err(CredentialsFileError::TooMany { path: path.to_owned(), count: pairs.len() });
    }
    Ok(pairs)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Id,
    Secret,
}

/// What a label stands for, whatever its case, punctuation and number: `Client ID`, `2. client_id`, `CRITEO_CLIENT_ID_2`.
fn part(label: &str) -> Option<Part> {
    /// Longer texts are sentences, or values.
    const MAX_LABEL: usize = 40;
    let letters: String = label.chars().filter(|letter| letter.is_alphanumeric()).collect();
    let letters = letters.to_lowercase();
    let letters = letters.trim_matches(|letter: char| letter.is_ascii_digit());
    match letters {
        "apikey" | "apikeyid" => Some(Part::Id),
        "apisecret" | "apikeysecret" | "secretkey" | "secret" => Some(Part::Secret),
        _ if label.len() > MAX_LABEL => None,
        _ if letters.ends_with("clientid") => Some(Part::Id),
        _ if letters.ends_with("clientsecret") => Some(Part::Secret),
        _ => None,
    }
}

/// Ids and secrets in the order of the file.
#[derive(Default)]
struct Found(Vec<(Part, String)>);

impl Found {
    fn add(&mut self, part: Part, value: &str) {
        let value = value.trim();
        let value = value.strip_suffix([',', ';']).filter(|value| value.ends_with(['"', '\''])).unwrap_or(value);
        let value = value.trim_matches(['"', '\'']).trim();
        if !value.is_empty() {
            self.0.push((part, value.to_owned()));
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
        let mut table: Option<(char, Vec<Option<Part>>)> = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(columns) = columns(line) {
                table = Some(columns);
                continue;
            }
            if let Some((separator, parts)) = &table {
                let cells: Vec<&str> = line.split(*separator).collect();
                if cells.len() == parts.len() {
                    parts.iter().zip(cells).for_each(|(part, cell)| part.iter().for_each(|part| self.add(*part, cell)));
                    continue;
                }
                table = None;
            }
            let labelled = labelled(line);
            if let (true, Some(part)) = (labelled.is_empty(), label_above) {
                self.add(part, line);
            }
            label_above = None;
            for (part, value) in labelled {
                if value.is_empty() { label_above = Some(part) } else { self.add(part, value) }
            }
        }
    }

    /// Each id with its secret: the neighbours, or all ids and then all secrets.
    fn pairs(self, path: &Path) -> Result<Vec<ClientCredentials>, CredentialsFileError> {
        let of = |wanted: Part| self.0.iter().filter(move |(part, _)| *part == wanted).map(|(_, value)| value.as_str());
        for (wanted, missing) in [(Part::Id, "client id"), (Part::Secret, "client secret")] {
            if of(wanted).next().is_none() {
                return Err(CredentialsFileError::Missing { path: path.to_owned(), missing });
            }
        }
        let (ids, secrets) = (of(Part::Id).count(), of(Part::Secret).count());
        let in_columns = || (ids == secrets).then(|| of(Part::Id).zip(of(Part::Secret)).collect());
        let unpaired = || CredentialsFileError::Unpaired { path: path.to_owned(), ids, secrets };
        let pairs = self.neighbours().or_else(in_columns).ok_or_else(unpaired)?;
        let mut credentials: Vec<ClientCredentials> = Vec::new();
        for (client_id, secret) in pairs {
            let is_known = |known: &ClientCredentials| {
                known.client_id == client_id && known.client_secret.expose_secret() == secret
            };
            if !credentials.iter().any(is_known) {
                let (client_id, client_secret) = (client_id.to_owned(), SecretString::from(secret));
                credentials.push(ClientCredentials { client_id, client_secret });
            }
        }
        Ok(credentials)
    }

    /// `None` if two ids or two secrets follow each other, unless they are the same.
    fn neighbours(&self) -> Option<Vec<(&str, &str)>> {
        let (mut id, mut secret, mut pairs) = (None, None, Vec::new());
        for (part, value) in &self.0 {
            let slot = if *part == Part::Id { &mut id } else { &mut secret };
            if slot.replace(value.as_str()).is_some_and(|before| before != value) {
                return None;
            }
            if let (Some(one), Some(two)) = (id, secret) {
                pairs.push((one, two));
                (id, secret) = (None, None);
            }
        }
        (id.is_none() && secret.is_none()).then_some(pairs)
    }
}

/// The columns of a table whose heads are on this line: what is in each, if it is wanted.
fn columns(line: &str) -> Option<(char, Vec<Option<Part>>)> {
    [',', ';', '\t', '|'].into_iter().find_map(|separator| {
        let parts: Vec<Option<Part>> = line.split(separator).map(part).collect();
        let has = |wanted| parts.iter().filter(|part| **part == Some(wanted)).count() == 1;
        (has(Part::Id) && has(Part::Secret)).then_some((separator, parts))
    })
}

/// The labels of a line, each with its value, which may be empty. A label ends at its first separator, because values may
/// contain `=` and `:` themselves; another one may follow on the same line.
fn labelled(line: &str) -> Vec<(Part, &str)> {
    let (label, value) = match line.find([':', '=', '\t']) {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, ""),
    };
    // Environment files: `export CRITEO_CLIENT_ID=…`.
    let label = label.trim().trim_start_matches("export ");
    let Some(first) = part(label) else { return Vec::new() };
    let Some(at) = next_label(value) else { return vec![(first, value.trim())] };
    let (value, rest) = value.split_at(at);
    let mut all = vec![(first, value.trim().trim_end_matches([',', ';', '|']).trim())];
    all.extend(labelled(rest));
    all
}

/// Where in a value the next label of the same line begins: after a blank or a comma, before `:` or `=`.
fn next_label(value: &str) -> Option<usize> {
    let separators = value.match_indices([':', '=']).map(|(at, _)| at);
    separators.into_iter().find_map(|end| {
        let starts = value[..end].match_indices([' ', ',', ';', '|', '\t']).map(|(at, found)| at + found.len());
        starts.into_iter().find(|start| {
            let label = &value[*start..end];
            label.to_lowercase().starts_with("client") && part(label).is_some()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ExposeSecret;

    const SECRET: &str = "aB+c/d=:%e==";

    fn all(text: &str) -> Result<Vec<(String, String)>, CredentialsFileError> {
        let shown = |pair: ClientCredentials| (pair.client_id, pair.client_secret.expose_secret().to_owned());
        Ok(parse(Path::new("keys.txt"), text)?.into_iter().map(shown).collect())
    }

    fn read(text: &str) -> Result<(String, String), CredentialsFileError> {
        let mut pairs = all(text)?;
        assert_eq!(pairs.len(), 1, "{text}");
        Ok(pairs.remove(0))
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
            "client_id: ID, client_secret: <S>",
            "Client ID: ID   Client Secret: <S>",
            "name,client_id,client_secret\nMy app,ID,<S>",
            "Client secret | Client ID\n<S> | ID",
            "1. Client ID: ID\n1. Client secret: <S>\n",
            "client_id: ID\nclient_secret: <S>\n\nclient_id: ID\nclient_secret: <S>\n",
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
    fn five_key_pairs_are_kept_in_their_order_in_every_layout() {
        let expected: Vec<(String, String)> = (1..=5).map(|n| (format!("id{n}"), format!("s{n}+/=:x"))).collect();
        let joined = |pair: fn(&(String, String)) -> String, between: &str| {
            expected.iter().map(pair).collect::<Vec<_>>().join(between)
        };
        let ids = expected.iter().map(|(id, _)| format!("client_id: {id}\n")).collect::<String>();
        let secrets = expected.iter().map(|(_, secret)| format!("client_secret: {secret}\n")).collect::<String>();
        for text in [
            joined(|(id, secret)| format!("client_id: {id}\nclient_secret: {secret}"), "\n\n"),
            joined(|(id, secret)| format!("Client Secret: {secret}\r\nClient ID: {id}\r\n"), "\r\n"),
            joined(|(id, secret)| format!("Key pair\nClient ID\n{id}\nClient secret\n{secret}"), "\n----\n"),
            joined(|(id, secret)| format!("client_id={id}; client_secret={secret}"), "\n"),
            format!("client_id,client_secret\n{}", joined(|(id, secret)| format!("{id},{secret}"), "\n")),
            format!(
                "[{}]",
                joined(|(id, secret)| format!(r#"{{"client_secret":"{secret}","client_id":"{id}"}}"#), ",")
            ),
            format!("{ids}{secrets}"),
            format!("{secrets}\n{ids}"),
        ] {
            assert_eq!(all(&text).unwrap_or_else(|error| panic!("{error}: {text}")), expected, "{text}");
        }
        let sixth = "\nclient_id: id6\nclient_secret: s6";
        let error = all(&format!("{ids}{secrets}{sixth}")).expect_err("six").to_string();
        assert!(error.contains("has 6 key pairs"), "{error}");
    }

    #[test]
    fn keys_that_cannot_be_told_apart_are_refused() {
        let error =
            all("client_id: a\nclient_secret: b\nclient_id: c\nclient_id: d").expect_err("no pairs").to_string();
        assert!(error.contains("has 3 client ids and 1 client secrets that do not form pairs"), "{error}");
    }
}
