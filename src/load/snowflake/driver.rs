//! Snowflake's ADBC driver: finding it, and logging in with a key pair. It executes nothing.

use std::path::Path;

use adbc_core::options::{AdbcVersion, OptionDatabase, OptionValue};
use adbc_core::{Database as _, Driver as _, LOAD_FLAG_DEFAULT};
use adbc_driver_manager::{ManagedConnection, ManagedDriver};
use secrecy::ExposeSecret as _;

use crate::load::error::{LoadError, LoadErrorKind};
use crate::settings::load::SnowflakeSettings;

/// What ADBC knows the driver as: a manifest's name, then a library's.
const NAMES: [&str; 2] = ["snowflake", "adbc_driver_snowflake"];
const HOW_TO_GET_IT: &str = "install it with `dbc install snowflake`, or with `pip install adbc-driver-snowflake` and the \
     path of its `libadbc_driver_snowflake` library as `driver` in `[load.snowflake]`; without it, `load snowflake --print` \
     writes a script for `snow sql -f`";

/// A driver that is loaded into this process.
pub(super) fn find(named: Option<&Path>) -> Result<ManagedDriver, LoadError> {
    let open =
        |name: &std::ffi::OsStr| ManagedDriver::load_from_name(name, None, AdbcVersion::V110, LOAD_FLAG_DEFAULT, None);
    let missing = |message: String| LoadError::new(LoadErrorKind::DriverMissing, message).with_remedy(HOW_TO_GET_IT);
    if let Some(path) = named {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let failed = |error: adbc_core::error::Error| {
            missing(format!("Snowflake's ADBC driver `{}` cannot be loaded: {}", path.display(), error.message))
        };
        return open(path.as_os_str()).map_err(failed);
    }
    let found = NAMES.iter().find_map(|name| open(name.as_ref()).ok());
    found.ok_or_else(|| missing("Snowflake's ADBC driver is not where ADBC looks for drivers".to_owned()))
}

/// A session, logged in; it blocks.
pub(super) fn connect(
    driver: &mut ManagedDriver,
    settings: &SnowflakeSettings,
) -> Result<ManagedConnection, LoadError> {
    let options = options(settings)?;
    let database = driver.new_database_with_opts(options).map_err(|error| refused(&error))?;
    database.new_connection().map_err(|error| refused(&error))
}

fn refused(error: &adbc_core::error::Error) -> LoadError {
    let message = format!("Snowflake refused the login, or cannot be reached: {}", error.message);
    // 3900xx to 3905xx are Snowflake's codes of logins that were answered.
    let (kind, remedy) = if (390_000..390_600).contains(&error.vendor_code) {
        let remedy = "register the public key with `ALTER USER … SET RSA_PUBLIC_KEY`, and grant the role to the user";
        (LoadErrorKind::Refused, remedy)
    } else {
        (
            LoadErrorKind::Unreachable,
            "check `account` (as in `myorg-account1`), and that this machine may reach Snowflake",
        )
    };
    LoadError::new(kind, message).with_remedy(remedy)
}

fn options(settings: &SnowflakeSettings) -> Result<Vec<(OptionDatabase, OptionValue)>, LoadError> {
    let missing = |key: &str, variable: &str| {
        let message = format!("`{key}` of Snowflake is not set");
        LoadError::new(LoadErrorKind::Unreachable, message)
            .with_remedy(format!("set it in `[load.snowflake]`, or {variable}"))
    };
    let account = settings.account.as_deref().ok_or_else(|| missing("account", "SNOWFLAKE_ACCOUNT"))?;
    let user = settings.user.as_deref().ok_or_else(|| missing("user", "SNOWFLAKE_USER"))?;
    let file = settings
        .private_key_file
        .as_deref()
        .ok_or_else(|| missing("private_key_file", "SNOWFLAKE_PRIVATE_KEY_FILE"))?;
    let other = |name: &str| OptionDatabase::Other(format!("adbc.snowflake.sql.{name}"));
    let mut options: Vec<(OptionDatabase, OptionValue)> = vec![
        (OptionDatabase::Username, user.into()),
        (other("account"), account.into()),
        (other("auth_type"), "auth_jwt".into()),
        (other("client_option.app_name"), "criteo-source".into()),
        (other("client_option.disable_telemetry"), "true".into()),
    ];
    let port = settings.port.map(|port| port.to_string());
    let given = [
        ("role", &settings.role),
        ("warehouse", &settings.warehouse),
        ("db", &settings.database),
        ("uri.host", &settings.host),
        ("uri.port", &port),
        ("uri.protocol", &settings.protocol),
    ];
    for (name, value) in given {
        if let Some(value) = value {
            options.push((other(name), value.as_str().into()));
        }
    }
    options.extend(key(settings, file)?);
    Ok(options)
}

/// The private key, as the driver takes it.
fn key(settings: &SnowflakeSettings, file: &Path) -> Result<Vec<(OptionDatabase, OptionValue)>, LoadError> {
    let unusable = |what: String, remedy: &str| {
        let message = format!("the private key `{}` {what}", file.display());
        LoadError::new(LoadErrorKind::Unreachable, message).with_remedy(remedy)
    };
    let other = |name: &str| OptionDatabase::Other(format!("adbc.snowflake.sql.client_option.{name}"));
    let text = std::fs::read_to_string(file)
        .map_err(|error| unusable(format!("cannot be read ({error})"), "name a file that this user may read"))?;
    if text.contains("BEGIN RSA PRIVATE KEY") {
        // The driver reads this older form from a file only.
        return Ok(vec![(other("jwt_private_key"), file.display().to_string().into())]);
    }
    if !text.contains("PRIVATE KEY") {
        return Err(unusable("is not a private key in PEM".to_owned(), "make one with `openssl genrsa 2048`"));
    }
    let mut options = vec![(other("jwt_private_key_pkcs8_value"), OptionValue::from(text.as_str()))];
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        let Some(password) = &settings.private_key_password else {
            let remedy = "set SNOWFLAKE_PRIVATE_KEY_FILE_PWD to its password";
            return Err(unusable("is encrypted".to_owned(), remedy));
        };
        options.push((other("jwt_private_key_pkcs8_password"), password.expose_secret().into()));
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(key: &Path) -> SnowflakeSettings {
        SnowflakeSettings {
            account: Some("a".into()),
            user: Some("u".into()),
            private_key_file: Some(key.to_owned()),
            ..SnowflakeSettings::default()
        }
    }

    fn text(error: &LoadError) -> String {
        format!("{}; {}", error.message, error.remedy)
    }

    #[test]
    fn what_is_not_set_is_named_with_the_variable_that_sets_it() {
        let error = options(&SnowflakeSettings::default()).expect_err("nothing is set");
        assert!(text(&error).contains("`account`") && text(&error).contains("SNOWFLAKE_ACCOUNT"), "{error:?}");
    }

    #[test]
    fn an_encrypted_key_without_its_password_is_refused_before_the_login() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("key.p8");
        std::fs::write(&path, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n-----END ENCRYPTED PRIVATE KEY-----\n")
            .expect("written");
        let error = options(&settings(&path)).expect_err("encrypted");
        assert!(text(&error).contains("SNOWFLAKE_PRIVATE_KEY_FILE_PWD"), "{error:?}");
        let with_password =
            SnowflakeSettings { private_key_password: Some("hunter2".to_owned().into()), ..settings(&path) };
        assert!(options(&with_password).is_ok());
        std::fs::write(&path, "ssh-rsa AAAA").expect("written");
        assert!(text(&options(&settings(&path)).expect_err("no key")).contains("PEM"));
    }

    #[test]
    fn a_driver_that_is_not_there_is_told_with_how_to_get_it() {
        let error = find(Some(Path::new("/nowhere/libadbc_driver_snowflake.so"))).expect_err("there is none");
        assert_eq!(error.kind, LoadErrorKind::DriverMissing);
        assert!(
            text(&error).contains("pip install adbc-driver-snowflake") && text(&error).contains("--print"),
            "{error:?}"
        );
    }
}
