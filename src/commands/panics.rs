//! A panic is a bug of this program. Even then no secret is shown, and the exit code says what happened.

use std::io::Write;

use crate::error::{Code, Error, ErrorKind};
use crate::redaction::redact;

/// From now on a panic, on any thread, is told like an error, and ends the process.
pub(super) fn tell() {
    std::panic::set_hook(Box::new(|panic| {
        // Without a standard error there is nobody to tell.
        let _ = std::io::stderr().lock().write_all(report(&panic.to_string()).as_bytes());
        std::process::exit(ErrorKind::Unexpected.exit_code().into());
    }));
}

fn report(panic: &str) -> String {
    let error = Error::new(Code::Unexpected, format!("a bug of this program: {}", panic.replace('\n', " ")))
        .with_remedy("files that were published are whole; run it again, and report this with what `-vv` prints");
    redact(&error.report().to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_without_the_secrets_in_it() {
        crate::redaction::remember(&"panicking-s3cret".into());
        let told = report("panicked at src/x.rs:1:2:\nno entry `panicking-s3cret`");
        assert!(
            told.contains("panicked at src/x.rs:1:2: no entry `[redacted]`") && told.contains("report this"),
            "{told}"
        );
    }
}
