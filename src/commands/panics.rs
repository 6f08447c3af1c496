//! A panic is a bug of this program. Even then no secret is shown, and the exit code says what happened.

use crate::error::{Code, Error, ErrorKind};
use crate::logging::{LogFormat, fatal};

/// From now on a panic, on any thread, is reported like an error, and ends the process.
pub(super) fn report(format: LogFormat) {
    std::panic::set_hook(Box::new(move |panic| {
        fatal(&error_of(&panic.to_string()), format);
        std::process::exit(ErrorKind::Unexpected.exit_code().into());
    }));
}

fn error_of(panic: &str) -> Error {
    Error::new(Code::Unexpected, format!("a bug of this program: {}", panic.replace('\n', " ")))
        .with_remedy("files that were published are whole; run it again, and report this with what `-vv` prints")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_reported_without_the_secrets_in_it() {
        crate::redaction::remember(&"panicking-s3cret".into());
        let told = error_of("panicked at src/x.rs:1:2:\nno entry `panicking-s3cret`").report().to_string();
        assert!(
            told.contains("panicked at src/x.rs:1:2: no entry `[redacted]`") && told.contains("report this"),
            "{told}"
        );
    }
}
