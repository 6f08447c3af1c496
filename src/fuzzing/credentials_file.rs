//! Credentials files: nothing of them is ever said, and what was read can be written and read again.

use std::path::Path;

use crate::auth::parse_credentials;
use crate::secret::{ExposeSecret, decode_text};

/// The bytes of a credentials file.
pub fn credentials_file(bytes: &[u8]) {
    let Some(text) = decode_text(bytes) else { return };
    let path = Path::new("keys.txt");
    match parse_credentials(path, &text) {
        // All that an error may say is known beforehand, so nothing of the file can be in it.
        Err(error) => {
            let said = error.to_string();
            let digits = |text: &str| text.replace(|letter: char| letter.is_ascii_digit(), "");
            let known = ["client id", "client secret"].iter().any(|what| {
                said.starts_with(&format!("`keys.txt` has no {what}; expected are two lines like")) && said.len() < 200
            }) || digits(&said)
                .starts_with("`keys.txt` has  client ids and  client secrets that do not form pairs;")
                || digits(&said).starts_with("`keys.txt` has  key pairs, and an application has  at most;");
            assert!(known && said.len() < 250, "{said}");
        }
        Ok(pairs) => {
            assert!((1..=5).contains(&pairs.len()));
            for credentials in pairs {
                let (id, secret) = (&credentials.client_id, credentials.client_secret.expose_secret());
                assert_eq!(format!("{credentials:?}"), "ClientCredentials([redacted])");
                for value in [id, secret] {
                    assert!(!value.is_empty() && value.trim() == value, "{value:?}");
                }
                let is_plain =
                    |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-".contains(&byte));
                if is_plain(id) && is_plain(secret) {
                    let again = parse_credentials(path, &format!("client_secret: {secret}\nclient_id = {id}\n"));
                    let again = again.unwrap_or_else(|error| panic!("{error} after {text:?}"));
                    assert_eq!((&again[0].client_id, again[0].client_secret.expose_secret()), (id, secret));
                }
            }
        }
    }
}
