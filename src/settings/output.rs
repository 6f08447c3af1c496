//! Where partitions are written: a folder on this machine, or a prefix in a bucket. It parses; it opens nothing.

use std::fmt;
use std::path::PathBuf;

use super::problem::Invalid;

/// The object stores that can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectStore {
    /// `gs://`, Google Cloud Storage.
    GoogleCloud,
    /// `s3://`, Amazon S3 and what speaks its protocol.
    S3,
    /// `az://`, Azure Blob Storage.
    Azure,
}

impl ObjectStore {
    /// The URL scheme, without `://`.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::GoogleCloud => "gs",
            Self::S3 => "s3",
            Self::Azure => "az",
        }
    }
}

/// The root below which `{table}/dt=…` and `_ledger` lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputLocation {
    /// A folder; a relative one counts from the working directory.
    Local(PathBuf),
    /// A prefix in a bucket.
    Object {
        /// Which store.
        store: ObjectStore,
        /// Bucket, or container on Azure.
        bucket: String,
        /// Path below it without leading or trailing slash; may be empty.
        prefix: String,
    },
}

/// `$HOME/…`, `${DATA}/…`, `%h/…`: cron, systemd and TOML files do not expand what a shell, or a unit file, would.
fn has_placeholder(text: &str) -> bool {
    text.split('/').any(|part| match part.as_bytes() {
        [b'$', b'{' | b'(' | b'_' | b'a'..=b'z' | b'A'..=b'Z', ..] => true,
        [b'%', letter] => letter.is_ascii_alphabetic(),
        [b'%', name @ .., b'%'] => !name.is_empty(),
        _ => false,
    })
}

impl OutputLocation {
    /// The place that a text in a test names.
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        Self::parse(text).expect("a location")
    }

    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        if let Some(placeholder) = placeholder(text) {
            return Err(Invalid::new(
                format!(
                    "`{placeholder}` in the path is not replaced by anything here, and would become a folder of that name"
                ),
                "write the full path; a shell, a systemd unit or a template expands such a placeholder before this program \
                 reads it, a configuration file or an environment file does not",
            ));
        }
        match text.split_once("://") {
            None if text.is_empty() => Err(Invalid::new("the path is empty", "write `.` for the current folder")),
            None if text.contains('\0') => Err(Invalid::new("the path contains a NUL character", "remove it")),
            None if text == "~" || text.starts_with("~/") => {
                Err(Invalid::new("`~` is only understood by shells", "write the full path of the folder"))
            }
            None if has_placeholder(text) => Err(Invalid::new(
                format!("`{text}` has a placeholder, which is only understood by shells and service managers"),
                "write the full path of the folder",
            )),
            None => Ok(Self::Local(PathBuf::from(text))),
            Some(("file", rest)) => local_from_url(rest),
            Some(("gs", rest)) => object(ObjectStore::GoogleCloud, rest),
            Some(("s3", rest)) => object(ObjectStore::S3, rest),
            Some(("az", rest)) => object(ObjectStore::Azure, rest),
            // The rest of the address is not shown: it may hold a key.
            Some((scheme, _)) => Err(Invalid::new(
                format!("`{scheme}://` is not a place to write to"),
                "use a path, or a URL that starts with `file://`, `gs://`, `s3://` or `az://`",
            )),
        }
    }
}

/// What looks like a variable of a shell (`$HOME`, `${X}`), of Windows (`%USERPROFILE%`) or a specifier of systemd (`%h/…`), as
/// whoever wrote it expects it to be replaced. A percent-encoded character of a URL does not.
fn placeholder(text: &str) -> Option<&str> {
    let name_end = |rest: &str| rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    for (at, sign) in text.match_indices(['$', '%']) {
        let rest = &text[at + 1..];
        let end = name_end(rest);
        let is_name = rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        match sign {
            "$" if rest.starts_with('{') => {
                return Some(rest.find('}').map_or(&text[at..], |close| &text[at..at + close + 2]));
            }
            "$" if is_name => return Some(&text[at..=at + end]),
            "%" if is_name && rest[end..].starts_with('%') => return Some(&text[at..at + end + 2]),
            // systemd.unit(5), Specifiers: one letter, and a path goes on with a slash or ends.
            "%" if is_name && end == 1 => return Some(&text[at..at + 2]),
            _ => {}
        }
    }
    None
}

fn local_from_url(rest: &str) -> Result<OutputLocation, Invalid> {
    let path = rest.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(Invalid::new(
            format!("`file://{rest}` names a host, not a path"),
            "write three slashes, as in `file:///srv/criteo`, or a plain path",
        ));
    }
    percent_decoded(path)
        .filter(|path| !path.contains('\0'))
        .map(|path| OutputLocation::Local(PathBuf::from(path)))
        .ok_or_else(|| Invalid::new(format!("`file://{rest}` is not a valid URL"), "write the plain path instead"))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.chars().all(|c| c.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

fn object(store: ObjectStore, rest: &str) -> Result<OutputLocation, Invalid> {
    let scheme = store.scheme();
    let example = format!("write `{scheme}://bucket/prefix`");
    if rest.contains(['@', '?', '#']) {
        // Not repeated, since it may hold a key.
        let message = format!("the {scheme}:// URL carries a user, query or fragment");
        return Err(Invalid::new(message, example));
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_bucket = !bucket.is_empty() && bucket.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    if !is_bucket {
        return Err(Invalid::new(format!("`{scheme}://{rest}` names no valid bucket"), example));
    }
    let prefix = prefix.trim_matches('/');
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if !prefix.is_empty() && !prefix.split('/').all(is_plain) {
        return Err(Invalid::new(format!("`{scheme}://{rest}` has an empty, `.` or `..` part"), example));
    }
    Ok(OutputLocation::Object { store, bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

impl fmt::Display for OutputLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Object { store, bucket, prefix } if prefix.is_empty() => write!(f, "{}://{bucket}", store.scheme()),
            Self::Object { store, bucket, prefix } => write!(f, "{}://{bucket}/{prefix}", store.scheme()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_file_urls_are_local() {
        for (text, path) in [
            ("./data", "./data"),
            ("/srv/criteo", "/srv/criteo"),
            ("file:///srv/criteo%20data", "/srv/criteo data"),
            ("file://localhost/srv", "/srv"),
            ("100%/data", "100%/data"),
            ("cost$/1", "cost$/1"),
        ] {
            assert_eq!(OutputLocation::parse(text).unwrap(), OutputLocation::Local(PathBuf::from(path)));
        }
    }

    #[test]
    fn buckets_keep_their_prefix_without_outer_slashes() {
        for (text, shown) in [
            ("gs://bucket", "gs://bucket"),
            ("s3://my-bucket/a/b/", "s3://my-bucket/a/b"),
            ("az://container/prefix", "az://container/prefix"),
        ] {
            assert_eq!(OutputLocation::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn places_that_would_surprise_are_refused() {
        for text in [
            "",
            "~",
            "~/data",
            "$HOME/data",
            "data/${STAGE}/x",
            "${DATA",
            "%h/data",
            "%S",
            "%USERPROFILE%/data",
            "gs://$BUCKET/x",
            "file://data",
            "file:///a%zz",
            "http://x/y",
            "gs://",
            "gs:///x",
            "s3://b/../x",
            "s3://key:word@b/x",
            "az://b/x//y",
            "gs://b/x?y",
        ] {
            assert!(OutputLocation::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_in_the_address_is_not_repeated() {
        for text in ["s3://key:hunter2@bucket/x", "https://host/x?sig=hunter2", "az://c/x?sig=hunter2"] {
            assert!(!format!("{:?}", OutputLocation::parse(text).unwrap_err()).contains("hunter2"));
        }
    }
}
