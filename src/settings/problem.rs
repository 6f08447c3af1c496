//! What is wrong with a configuration, where, and what to do about it; gathered, never one at a time.

use std::fmt;
use std::path::PathBuf;

use crate::error::{Code, Error, Notice};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A command-line flag, such as `--output`.
    Flag(&'static str),
    /// An environment variable.
    Variable(&'static str),
    /// The configuration file.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// Line, counted from one.
        line: usize,
        /// Dotted key, such as `tables.ads.enabled`; empty where the file as a whole is meant.
        key: String,
    },
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "`{name}`"),
            Self::Variable(name) => write!(f, "variable `{name}`"),
            Self::File { path, line, key } if key.is_empty() => write!(f, "{}:{line}", path.display()),
            Self::File { path, line, key } => write!(f, "{}:{line} `{key}`", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its origin.
    pub origin: Origin,
}

impl<T> Located<T> {
    /// The value of a flag.
    pub fn flag(name: &'static str, value: T) -> Self {
        Self { value, origin: Origin::Flag(name) }
    }

    /// The value of an environment variable.
    pub fn variable(name: &'static str, value: T) -> Self {
        Self { value, origin: Origin::Variable(name) }
    }

    /// The same origin with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: change(self.value), origin: self.origin }
    }
}

/// Why a text is not a valid value, before anyone knows where the text stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    pub(super) message: String,
    pub(super) remedy: String,
}

impl Invalid {
    pub(super) fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: remedy.into() }
    }

    pub(super) fn at(self, origin: Origin) -> Problem {
        Problem { code: Code::InvalidValue, origin, message: self.message, remedy: self.remedy }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which kind of problem.
    pub code: Code,
    /// Where.
    pub origin: Origin,
    /// What is wrong; never a secret, not even a mistyped one.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl Problem {
    /// As people and machines read it.
    pub fn notice(&self) -> Notice {
        Notice::new(self.code, self.to_string()).remedy(&self.remedy)
    }
}

impl fmt::Display for Problem {
    /// Where and what, without the remedy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(f, "{}: ", self.origin)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong, in the order of flags, variables and lines; never empty when returned as an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
impl Problems {
    /// Each problem and its remedy, a line each.
    pub(super) fn with_remedies(&self) -> String {
        self.0.iter().map(|problem| format!("{problem}; {}\n", problem.remedy)).collect()
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl From<Problems> for Error {
    /// Names each problem on its own.
    fn from(Problems(problems): Problems) -> Self {
        let notices: Vec<Notice> = problems.iter().map(Problem::notice).collect();
        match <[Notice; 1]>::try_from(notices) {
            Ok([notice]) => Self::from(notice),
            Err(notices) => {
                let code = notices.first().map_or(Code::InvalidValue, |notice| notice.code);
                Self::several(code, format!("the configuration has {} problems", notices.len()), notices)
            }
        }
    }
}

/// Something a person should know, although the run goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Which kind of oddity.
    pub code: Code,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
