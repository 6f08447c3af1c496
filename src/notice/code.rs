//! The closed list of codes: what each means, what to do about it, where it appears, which kind of failure it is.
//!
//! To add a code, add an entry to the list below; the compiler says which part is missing, and
//! `UPDATE_DOCS=1 cargo test --test docs` writes it to the reference page.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{ErrorKind, ExitCodes};

/// Commands that fetch and publish.
const RUNS: &[&str] = &["pull", "backfill", "demo"];
/// Commands that make a plan.
const PLANS: &[&str] = &["plan", "pull", "backfill", "demo"];
/// Commands that call Criteo.
const CALLS: &[&str] = &["check", "plan", "pull", "backfill", "demo"];
/// Commands that read the configuration.
const CONFIGURED: &[&str] = &["check", "plan", "pull", "backfill", "demo", "status", "schema"];
/// Commands that read or write the output.
const OUTPUT: &[&str] = &["check", "plan", "pull", "backfill", "demo", "status"];
/// Commands that load into a warehouse.
const LOADS: &[&str] = &["load", "pull", "backfill", "demo"];
/// Commands that load into a warehouse, or look whether they could.
const TARGETS: &[&str] = &["check", "load", "pull", "backfill", "demo"];
/// Any command.
const ANY: &[&str] = &[];

/// `Variant { name, kind, seen_in, cause, remedy }`. `kind` is [`Warning`](Nature::Warning) where the code never makes a
/// command fail, else the [`ErrorKind`] that it has as an error.
macro_rules! codes {
    ($($variant:ident {
        name: $name:literal, kind: $kind:ident, seen_in: $seen_in:expr, cause: $cause:literal, remedy: $remedy:literal $(,)?
    })+) => {
        /// What a warning or an error is about: a stable word for alerts and for `criteo-source explain`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $cause] $variant,)+
        }

        impl Code {
            /// Every code, in the order of this list.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Why it happens.
            pub fn cause(self) -> &'static str {
                match self { $(Self::$variant => $cause,)+ }
            }

            /// What to do about it; empty where nothing needs to be done.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)+ }
            }

            /// The commands that may report it; empty: any.
            pub fn seen_in(self) -> &'static [&'static str] {
                match self { $(Self::$variant => $seen_in,)+ }
            }

            fn nature(self) -> Nature {
                match self { $(Self::$variant => nature!($kind),)+ }
            }
        }
    };
}

macro_rules! nature {
    (Warning) => {
        Nature::Warning
    };
    ($kind:ident) => {
        Nature::Error(ErrorKind::$kind)
    };
}

enum Nature {
    /// Reported as a warning only.
    Warning,
    /// Reported as an error, or as a warning where nothing is missing.
    Error(ErrorKind),
}

impl Code {
    /// The kind of failure it is, where it is reported as an error.
    pub fn kind(self) -> ErrorKind {
        match self.nature() {
            // Something is missing, whatever it is: that is what reporting it as an error says.
            Nature::Warning => ErrorKind::Partial,
            Nature::Error(kind) => kind,
        }
    }

    /// Whether it never makes a command fail.
    pub fn is_warning_only(self) -> bool {
        matches!(self.nature(), Nature::Warning)
    }

    /// The exit code of a command in which nothing else failed and nothing was done.
    pub fn exit_code(self) -> u8 {
        if self.is_warning_only() { ExitCodes::DONE } else { self.kind().exit_code() }
    }

    /// The code of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

codes! {
    // Command line and configuration.
    Usage {
        name: "usage", kind: Usage, seen_in: ANY,
        cause: "The command line cannot be used: an unknown option, a missing argument, a value of the wrong form.",
        remedy: "see `criteo-source COMMAND --help`",
    }
    UnreadableFile {
        name: "unreadable_file", kind: Configuration, seen_in: CONFIGURED,
        cause: "The configuration file, or a file with credentials, cannot be read.",
        remedy: "name an existing, readable file, or write one with `criteo-source init`",
    }
    FileExists {
        name: "file_exists", kind: Configuration, seen_in: &["init"],
        cause: "The file that `init` would write exists already.",
        remedy: "edit it, or name another file with `--config`; `init` never overwrites",
    }
    InvalidToml {
        name: "invalid_toml", kind: Configuration, seen_in: CONFIGURED,
        cause: "The configuration file is not valid TOML.",
        remedy: "correct the TOML syntax of the line",
    }
    UnknownKey {
        name: "unknown_key", kind: Configuration, seen_in: CONFIGURED,
        cause: "The configuration file has a key that does not exist.",
        remedy: "use the nearest known key that the message names, or remove the line",
    }
    WrongType {
        name: "wrong_type", kind: Configuration, seen_in: CONFIGURED,
        cause: "A value in the configuration file has the wrong type.",
        remedy: "write a value of the type that the message names",
    }
    MissingKey {
        name: "missing_key", kind: Configuration, seen_in: CONFIGURED,
        cause: "A `[[reports]]` entry lacks a key that it needs.",
        remedy: "add the key",
    }
    InvalidValue {
        name: "invalid_value", kind: Configuration, seen_in: CONFIGURED,
        cause: "A flag, an environment variable or a key of the file has a value that cannot be used.",
        remedy: "correct the value at the place that the message names",
    }
    InvalidTable {
        name: "invalid_table", kind: Configuration, seen_in: CONFIGURED,
        cause: "The metrics or dimensions configured for a table or report do not make a table.",
        remedy: "change `metrics` or `dimensions` of that table",
    }
    UnknownTable {
        name: "unknown_table", kind: Configuration, seen_in: CONFIGURED,
        cause: "There is no table, and no configured report, of that name.",
        remedy: "see `criteo-source schema` for the names of all tables",
    }
    NoTables {
        name: "no_tables", kind: Configuration, seen_in: CONFIGURED,
        cause: "Every table is switched off.",
        remedy: "enable a table in the configuration file, or name some with `--tables`",
    }
    SecretInFile {
        name: "secret_in_file", kind: Configuration, seen_in: CONFIGURED,
        cause: "The configuration file holds a secret, which does not belong there.",
        remedy: "move it to an environment variable or to a file of its own, and issue a new secret if others read this file",
    }
    MissingCredentials {
        name: "missing_credentials", kind: Configuration, seen_in: CALLS,
        cause: "No client id, or no client secret, is configured.",
        remedy: "set `CRITEO_CLIENT_ID` and `CRITEO_CLIENT_SECRET` (or `CRITEO_CLIENT_SECRET_FILE`), or `CRITEO_CREDENTIALS_FILE`",
    }
    ConflictingCredentials {
        name: "conflicting_credentials", kind: Configuration, seen_in: CALLS,
        cause: "Two variables give a client secret, and either could be meant.",
        remedy: "unset one of them",
    }
    InvalidCredentialsFile {
        name: "invalid_credentials_file", kind: Configuration, seen_in: CALLS,
        cause: "A file with credentials cannot be read, is readable by other users, or does not hold what it should.",
        remedy: "correct the file that the message names",
    }
    BucketNotConfigured {
        name: "bucket_not_configured", kind: Configuration, seen_in: OUTPUT,
        cause: "The bucket that `output` names cannot be opened with the variables that are set.",
        remedy: "correct the variables of its cloud (`AWS_…`, `GOOGLE_…`, `AZURE_…`)",
    }
    UnknownVariable {
        name: "unknown_variable", kind: Warning, seen_in: CONFIGURED,
        cause: "An environment variable looks like a misspelling of one that this program reads.",
        remedy: "correct its name, or unset it",
    }
    UnusedClientId {
        name: "unused_client_id", kind: Warning, seen_in: CONFIGURED,
        cause: "A client id is configured, but the credentials file brings its own, which is used.",
        remedy: "remove the client id that is not used",
    }
    AsOfInFuture {
        name: "as_of_in_future", kind: Warning, seen_in: CONFIGURED,
        cause: "`--as-of` is after today in the report time zone.",
        remedy: "check the date",
    }
    NothingDue {
        name: "nothing_due", kind: Warning, seen_in: CONFIGURED,
        cause: "`start_date` is not before the day of the run, so no day is due yet.",
        remedy: "check `start_date`",
    }
    KeepBelowLookback {
        name: "keep_below_lookback", kind: Warning, seen_in: CONFIGURED,
        cause: "`keep_days` is less than `lookback_days`: days are deleted while Criteo still restates them.",
        remedy: "raise `keep_days`, or set it to 0 to keep everything",
    }
    UnknownField {
        name: "unknown_field", kind: Warning, seen_in: CONFIGURED,
        cause: "A configured metric or dimension is not in this version's list of Criteo's fields; it is sent as written.",
        remedy: "check its spelling; `criteo-source check` shows whether Criteo accepts it",
    }
    PrimaryKeyChanged {
        name: "primary_key_changed", kind: Warning, seen_in: CONFIGURED,
        cause: "The configured dimensions change what identifies a row of a built-in table.",
        remedy: "use a `[[reports]]` entry with a name of its own where other tools rely on the table's primary key",
    }

    // Credentials, consent and permissions.
    CredentialsRefused {
        name: "credentials_refused", kind: Credentials, seen_in: CALLS,
        cause: "Criteo refused the client id, the client secret or the refresh token.",
        remedy: "check that client id and secret belong to the same key pair of the application, and that the secret is complete",
    }
    KeyRejected {
        name: "key_rejected", kind: Credentials, seen_in: CALLS,
        cause: "Criteo refused one of several key pairs in the credentials file; the next one was used.",
        remedy: "remove the key pair of that client id from the credentials file",
    }
    RefreshTokenNotStored {
        name: "refresh_token_not_stored", kind: Warning, seen_in: CALLS,
        cause: "Criteo rotated the refresh token, and the new one could not be written where the old one was read.",
        remedy: "use `CRITEO_REFRESH_TOKEN_FILE`, which is rewritten, instead of a variable, or let this program write the file",
    }
    ConsentEndsSoon {
        name: "consent_ends_soon", kind: Warning, seen_in: CALLS,
        cause: "The refresh token expires within 30 days; after that nothing can be fetched.",
        remedy: "have an admin, business manager or technical manager of the advertisers consent again before that day",
    }
    SignInDenied {
        name: "sign_in_denied", kind: Consent, seen_in: &["login"],
        cause: "The user of the consent page denied the request, so nothing was stored.",
        remedy: "run `criteo-source login` again when the consent is to be given",
    }
    SignInFailed {
        name: "sign_in_failed", kind: Consent, seen_in: &["login"],
        cause: "The consent page answered with an error, with the answer to another sign-in, or with a code that Criteo does \
                not accept; nothing was stored.",
        remedy: "run `criteo-source login` again and open the link that it prints",
    }
    SignInTimedOut {
        name: "sign_in_timed_out", kind: Consent, seen_in: &["login"],
        cause: "Nobody answered the consent page in time.",
        remedy: "run `criteo-source login` again; `--timeout MINUTES` waits longer, `--paste` needs no connection back",
    }
    NotSignedIn {
        name: "not_signed_in", kind: Credentials, seen_in: &["login"],
        cause: "`login --status` found no stored sign-in of the configured app.",
        remedy: "run `criteo-source login`",
    }
    SignInNotUsed {
        name: "sign_in_not_used", kind: Warning, seen_in: &["login"],
        cause: "A refresh token is configured by a variable, which is used instead of the sign-in that was just stored.",
        remedy: "unset `CRITEO_REFRESH_TOKEN` and `CRITEO_REFRESH_TOKEN_FILE`",
    }
    PortBusy {
        name: "port_busy", kind: Configuration, seen_in: &["login"],
        cause: "The port of the redirect URI cannot be listened on, mostly because another program does.",
        remedy: "end that program, or register another redirect URI for the app and give it with `--redirect-uri`, or use `--paste`",
    }
    ScopeMissing {
        name: "scope_missing", kind: Scope, seen_in: CALLS,
        cause: "The application lacks the Read permission that an endpoint needs.",
        remedy: "create a new app in Criteo's partner portal with Read permission for Analytics, Campaigns and Creatives (the \
                 permissions of an activated app cannot be changed), and have the advertisers consent to it",
    }
    ConsentMissing {
        name: "consent_missing", kind: Consent, seen_in: CALLS,
        cause: "No advertiser, or none of the configured ones, has consented to the application.",
        remedy: "in Criteo's partner portal, generate a consent link for the app and have an admin, business manager or technical \
                 manager of each advertiser accept it (it works once and for 30 days); for an app of the kind Authorization Code, \
                 run `criteo-source login`",
    }
    AdvertiserWithoutConsent {
        name: "advertiser_without_consent", kind: Consent, seen_in: CALLS,
        cause: "A configured advertiser is not among those that Criteo lists for the application.",
        remedy: "correct the id in `advertisers`, or have an admin of the advertiser accept the app's consent link",
    }
    AdvertiserRefused {
        name: "advertiser_refused", kind: Consent, seen_in: CALLS,
        cause: "Criteo lists the advertiser, but refuses its data: it has not consented to the app, or withdrew its consent.",
        remedy: "have an admin of the advertiser accept the app's consent link, or leave the advertiser out of `advertisers`",
    }
    WrongService {
        name: "wrong_service", kind: Scope, seen_in: &["check", "pull", "backfill"],
        cause: "The application was created for another service (C-Max, which is for retail media) than C-Growth and marketing \
                solutions.",
        remedy: "create a new app in Criteo's partner portal (an activated one cannot be changed): choose the service \"C-Growth and \
                 marketing solutions\" and Read permission for Analytics, Campaigns and Creatives, create a key, and have the \
                 advertisers consent to it",
    }

    // Calls to Criteo.
    RequestRejected {
        name: "request_rejected", kind: Partial, seen_in: CALLS,
        cause: "Criteo refuses a request for good: a metric, a combination of dimensions, a range or a size it does not accept.",
        remedy: "change what Criteo's words name; `criteo-source check` tries one day of every enabled report",
    }
    SettingRejected {
        name: "setting_rejected", kind: Configuration, seen_in: &["check"],
        cause: "Criteo does not accept a configured currency, time zone, metric, or combination of metrics and dimensions.",
        remedy: "change the setting that the message names",
    }
    UnreadableResponse {
        name: "unreadable_response", kind: Partial, seen_in: CALLS,
        cause: "A response has a shape or a value that cannot be stored exactly; nothing of that partition is published.",
        remedy: "run it again; if it stays, report it with the message and the trace id",
    }
    ApiUnavailable {
        name: "api_unavailable", kind: Unavailable, seen_in: CALLS,
        cause: "Criteo's API could not be reached, or kept answering with errors, through all attempts.",
        remedy: "the next run fetches what is missing; if it lasts, check the network, the proxy settings and `CRITEO_API_URL`",
    }
    ProxyRefused {
        name: "proxy_refused", kind: Configuration, seen_in: CALLS,
        cause: "The proxy between this machine and Criteo wants a user name and a password (407).",
        remedy: "put them into the variable of the proxy, `HTTPS_PROXY=http://user:password@host:port` (percent-encoded), or exempt \
                 Criteo's host with `NO_PROXY`",
    }
    DeadlinePassed {
        name: "deadline_passed", kind: Deadline, seen_in: CALLS,
        cause: "The run's deadline (`max_run_minutes`) passed before Criteo had answered everything.",
        remedy: "the next run fetches what is missing; raise `max_run_minutes` if runs need longer",
    }
    ApiVersionRemoved {
        name: "api_version_removed", kind: Configuration, seen_in: CALLS,
        cause: "Criteo has removed the API version that this program uses (410, or 404 or 415 at the version's path).",
        remedy: "install a newer criteo-source; before that version is removed, check `CRITEO_API_URL` and any proxy in between",
    }
    ApiVersionSunset {
        name: "api_version_sunset", kind: Configuration, seen_in: CALLS,
        cause: "The API version that this program uses is deprecated and will be removed, or may have been.",
        remedy: "install a newer criteo-source",
    }
    ApiDeprecation {
        name: "api_deprecation", kind: Warning, seen_in: CALLS,
        cause: "Criteo sent a `deprecation` or `sunset` header.",
        remedy: "install a newer criteo-source before the date in the header",
    }
    CriteoWarning {
        name: "criteo_warning", kind: Warning, seen_in: CALLS,
        cause: "Criteo sent a warning along with a good answer; the message has its words.",
        remedy: "",
    }
    UnknownFields {
        name: "unknown_fields", kind: Warning, seen_in: CALLS,
        cause: "Reports carry fields that no table stores: Criteo added something.",
        remedy: "look for a newer criteo-source",
    }
    HttpsUnavailable {
        name: "https_unavailable", kind: Unavailable, seen_in: CALLS,
        cause: "There is no HTTPS on this system: its root certificates cannot be read.",
        remedy: "install the system's CA certificates, or let `SSL_CERT_FILE` name a file of them",
    }
    ClockSkew {
        name: "clock_skew", kind: Configuration, seen_in: &["check"],
        cause: "The clock of this machine and that of Criteo's servers differ: by more than a minute is a warning, by more than a \
                day an error, because the wrong days would be fetched.",
        remedy: "set the clock (with NTP): which days are due depends on it",
    }

    // Completeness of what was fetched.
    RowCap {
        name: "row_cap", kind: Partial, seen_in: RUNS,
        cause: "One advertiser's ad sets of one day have more rows than Criteo returns, and cannot be split further.",
        remedy: "remove a dimension from the report",
    }
    RowCapLowered {
        name: "row_cap_lowered", kind: Warning, seen_in: &["pull", "backfill", "demo", "status"],
        cause: "Criteo cuts the responses of a report at fewer rows than it documents, or where it documents no number. Smaller \
                parts were requested, and later runs size their requests for it until a larger response comes.",
        remedy: "",
    }
    ShortResponse {
        name: "short_response", kind: Partial, seen_in: RUNS,
        cause: "Criteo's response does not have the counts of Criteo's own totals, also when requested again and in parts, or \
                has fewer rows than the file where no totals could be read. A file that was complete, or has more rows, stays \
                as it was.",
        remedy: "the next run fetches these days again; if it persists, send Criteo's support the totals that differ",
    }
    RowsShrank {
        name: "rows_shrank", kind: Warning, seen_in: RUNS,
        cause: "Criteo now sends less than half of the rows that it sent for a day before; requesting the day in parts \
                confirmed it.",
        remedy: "compare with `criteo-source status --history`",
    }
    HistoryOfAdvertiser {
        name: "history_of_advertiser", kind: Warning, seen_in: PLANS,
        cause: "An advertiser consented later, came back, or was added to the configuration: the days that were fetched without \
                it are fetched for it.",
        remedy: "",
    }
    CatchingUp {
        name: "catching_up", kind: Warning, seen_in: PLANS,
        cause: "`start_date` is not set, and the output begins before the default one: days that are missing since then are \
                fetched.",
        remedy: "set `start_date` if you do not want them",
    }
    Outdated {
        name: "outdated", kind: Warning, seen_in: &["plan", "pull", "backfill", "demo", "status"],
        cause: "Days outside the look-back were fetched with other columns than the table has now.",
        remedy: "fetch them with `criteo-source backfill`",
    }
    PartitionsRemoved {
        name: "partitions_removed", kind: Warning, seen_in: PLANS,
        cause: "`keep_days` removes partitions when the run ends.",
        remedy: "raise `keep_days` to keep them",
    }
    PartitionsSpared {
        name: "partitions_spared", kind: Warning, seen_in: PLANS,
        cause: "Partitions are older than `keep_days`, and stay: Criteo could not provide them again, or the clock and the \
                server's differ by more than a day.",
        remedy: "`--prune` removes what Criteo could not provide again; check the clock",
    }
    NothingToDo {
        name: "nothing_to_do", kind: Configuration, seen_in: &["plan", "backfill"],
        cause: "No day of the range can be fetched: it is in the future, or older than what Criteo keeps.",
        remedy: "check `--from` and `--to`: the first and the last day, in the report time zone",
    }
    OutputMixed {
        name: "output_mixed", kind: Configuration, seen_in: CALLS,
        cause: "The output holds amounts in another currency, or days cut in another time zone, than the settings. Nothing was \
                written.",
        remedy: "set `currency` and `timezone` to what the output holds, or choose another `output`, which is filled anew",
    }
    TotalsDiffer {
        name: "totals_differ", kind: Partial, seen_in: RUNS,
        cause: "The sums of what was fetched differ from Criteo's own totals. An error with `--strict`, or where rows of a \
                final day are clearly missing; else a warning.",
        remedy: "the next pull fetches these days again; `criteo-source status` lists the differences",
    }
    NotReconciled {
        name: "not_reconciled", kind: Warning, seen_in: RUNS,
        cause: "Criteo's totals could not be read, so that sums were not compared.",
        remedy: "the next pull compares again",
    }
    TransactionsOfOtherDays {
        name: "transactions_of_other_days", kind: Warning, seen_in: RUNS,
        cause: "A response has transactions of days outside the requested range; each day was fetched on its own.",
        remedy: "",
    }
    RepeatedKeys {
        name: "repeated_keys", kind: Warning, seen_in: RUNS,
        cause: "Rows share their primary key with another row; all are kept. Criteo is known to send a category once by name \
                and once as \"Unknown\", and renamed ads under both names.",
        remedy: "add the rows up where you group by the key",
    }
    RowsKept {
        name: "rows_kept", kind: Warning, seen_in: RUNS,
        cause: "Rows of an advertiser that was not requested, or could not be, stay as they were fetched before.",
        remedy: "if the advertiser withdrew its consent, have its admin accept the consent link, or leave it out of `advertisers`",
    }
    NotRefreshed {
        name: "not_refreshed", kind: Partial, seen_in: RUNS,
        cause: "Days or a snapshot were not fetched or not replaced, because of something else that the errors name.",
        remedy: "solve the other errors; the next run fetches what is missing",
    }
    AdvertiserUnavailable {
        name: "advertiser_unavailable", kind: Unavailable, seen_in: RUNS,
        cause: "A report fails for one advertiser while it is answered for others; that advertiser was left out of it.",
        remedy: "the next run tries again; if it stays, give Criteo's support the trace id",
    }
    BeyondRetention {
        name: "beyond_retention", kind: Warning, seen_in: PLANS,
        cause: "Some of the requested days are older than what Criteo keeps; they are left out.",
        remedy: "",
    }
    NotYetAvailable {
        name: "not_yet_available", kind: Warning, seen_in: PLANS,
        cause: "Some of the requested days have no data yet; they are left out.",
        remedy: "",
    }
    TextNotUnicode {
        name: "text_not_unicode", kind: Warning, seen_in: CALLS,
        cause: "Criteo sent text that is not Unicode, such as a name cut in the middle of an emoji; it is stored with U+FFFD.",
        remedy: "correct the name in Criteo's interface",
    }
    SnapshotNotBackfillable {
        name: "snapshot_not_backfillable", kind: Warning, seen_in: PLANS,
        cause: "An entity table is a snapshot of today, which a range of past days does not include.",
        remedy: "take today's snapshot with `criteo-source pull`",
    }
    SnapshotNotTaken {
        name: "snapshot_not_taken", kind: Warning, seen_in: PLANS,
        cause: "Snapshots are of today; with `--as-of` on another day entity tables are left out.",
        remedy: "run `criteo-source pull` without `--as-of` to take today's snapshot",
    }
    Interrupted {
        name: "interrupted", kind: Interrupted, seen_in: &["pull", "backfill", "demo", "login"],
        cause: "A signal stopped the run before everything was fetched.",
        remedy: "the next run fetches what is missing; a snapshot can only be taken on its day",
    }

    // The output.
    OutputFailed {
        name: "output_failed", kind: Output, seen_in: ANY,
        cause: "The output, or the result on stdout, could not be written or read.",
        remedy: "see whether the place exists, has space and may be written by this user",
    }
    Locked {
        name: "locked", kind: Locked, seen_in: OUTPUT,
        cause: "Another run holds the lock of this output.",
        remedy: "wait for that run to end, or end its process",
    }
    LeaseLost {
        name: "lease_lost", kind: Output, seen_in: OUTPUT,
        cause: "The lease on a bucket expired while the run was paused or could not reach it; another run may write there now.",
        remedy: "run it again: what was published before is published, the next run fetches what is missing",
    }
    UnexpectedFile {
        name: "unexpected_file", kind: Warning, seen_in: RUNS,
        cause: "A file that this program did not write lies in a table's folder, and loaders read it too.",
        remedy: "move it out of the table's folder",
    }
    LedgerLost {
        name: "ledger_lost", kind: Output, seen_in: OUTPUT,
        cause: "The output holds partitions, but no ledger.",
        remedy: "`criteo-source status --rebuild` reconstructs it from the data files",
    }
    LedgerDamaged {
        name: "ledger_damaged", kind: Output, seen_in: OUTPUT,
        cause: "A file of the ledger is damaged.",
        remedy: "`criteo-source status --rebuild` reconstructs it from the data files",
    }
    LedgerNewer {
        name: "ledger_newer", kind: Output, seen_in: OUTPUT,
        cause: "The ledger was written by a newer criteo-source.",
        remedy: "use the newer criteo-source",
    }
    NoOutput {
        name: "no_output", kind: Configuration, seen_in: &["status"],
        cause: "There is no output to reconstruct a ledger from.",
        remedy: "name it with `--output`, or in the configuration file",
    }
    VerificationFailed {
        name: "verification_failed", kind: Output, seen_in: &["status"],
        cause: "A data file is not what the ledger says.",
        remedy: "fetch the day again with `criteo-source backfill --force`, or reconstruct the ledger with \
                 `criteo-source status --rebuild` if the file is right",
    }
    NotComplete {
        name: "not_complete", kind: Partial, seen_in: &["status"],
        cause: "`status --check` found a day or a snapshot that is not there, sums that differ from Criteo's totals, or no run \
                without errors within `--max-age`.",
        remedy: "run `criteo-source pull`, then `criteo-source status` to see what is still missing and why",
    }
    PartitionNotRebuilt {
        name: "partition_not_rebuilt", kind: Partial, seen_in: &["status"],
        cause: "A data file could not be used when the ledger was reconstructed.",
        remedy: "fetch the day again with `criteo-source backfill --force`",
    }

    // Warehouses.
    WarehouseRefused {
        name: "warehouse_refused", kind: Warehouse, seen_in: TARGETS,
        cause: "The warehouse refused the credentials, a permission, or a statement.",
        remedy: "grant what the message names, then load again; what was pulled is published",
    }
    WarehouseUnavailable {
        name: "warehouse_unavailable", kind: Warehouse, seen_in: TARGETS,
        cause: "The warehouse could not be reached, or did not answer in time.",
        remedy: "load again; what was pulled is published",
    }
    NoLoadTarget {
        name: "no_load_target", kind: Configuration, seen_in: LOADS,
        cause: "No warehouse is configured, and none was named.",
        remedy: "add `[load.bigquery]`, `[load.snowflake]` or `[load.duckdb]` to the configuration file, or name one: \
                 `criteo-source load duckdb`",
    }
    NothingToLoad {
        name: "nothing_to_load", kind: Configuration, seen_in: LOADS,
        cause: "The output has no partitions, or a version wrote it that gave outputs no id.",
        remedy: "name the output with `--output`, or run `criteo-source pull` first",
    }
    LoadDriverMissing {
        name: "load_driver_missing", kind: Warehouse, seen_in: TARGETS,
        cause: "The program or driver that speaks to the warehouse is not installed.",
        remedy: "install what the message names",
    }
    LoadTableNotOurs {
        name: "load_table_not_ours", kind: Warehouse, seen_in: LOADS,
        cause: "There is a table of that name already that this program did not create.",
        remedy: "load into another dataset or schema, set `table_prefix`, or drop that table",
    }
    LoadTableDiffers {
        name: "load_table_differs", kind: Warehouse, seen_in: LOADS,
        cause: "Types or partitioning of a table in the warehouse are not those of the output; they are never changed.",
        remedy: "rename or drop the table, or set `table_prefix`",
    }
    LoadTableClaimed {
        name: "load_table_claimed", kind: Warehouse, seen_in: LOADS,
        cause: "The table holds partitions of another output; the two would replace each other's days.",
        remedy: "set `table_prefix`, or load this output into a dataset or schema of its own",
    }
    LoadRowsDiffer {
        name: "load_rows_differ", kind: Warehouse, seen_in: LOADS,
        cause: "Other rows arrived in the warehouse than the ledger has recorded; nothing of the table was replaced.",
        remedy: "load again; if it stays, `criteo-source status --verify` says whether the output is what was written",
    }
    LoadPartitionChanged {
        name: "load_partition_changed", kind: Warehouse, seen_in: LOADS,
        cause: "A pull kept replacing a partition while it was being loaded; nothing of the table was replaced.",
        remedy: "load again",
    }
    LoadFileDamaged {
        name: "load_file_damaged", kind: Output, seen_in: LOADS,
        cause: "A partition's file is missing, or its checksum is not the recorded one; such a file is never loaded.",
        remedy: "`criteo-source status --verify` says what is wrong with the output, and what to do about it",
    }
    LoadTableNotConfigured {
        name: "load_table_not_configured", kind: Warning, seen_in: LOADS,
        cause: "The output has a table that the configuration no longer has; it is not loaded.",
        remedy: "configure the report again, or remove the table's folder from the output",
    }
    LoadDaysKept {
        name: "load_days_kept", kind: Warning, seen_in: LOADS,
        cause: "The warehouse has days that the output has no longer; they stay.",
        remedy: "`criteo-source load --prune` deletes them from the warehouse",
    }
    LoadViewNotOurs {
        name: "load_view_not_ours", kind: Warning, seen_in: LOADS,
        cause: "There is a table or view with the name of one of our views; it is left as it is.",
        remedy: "rename it, or set `table_prefix`",
    }

    Unexpected {
        name: "unexpected", kind: Unexpected, seen_in: ANY,
        cause: "A bug, or a situation this program does not handle.",
        remedy: "run it again; if it stays, report it with what `-vv` prints",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// `RowsKept` as `rows_kept`.
    fn snake_case(variant: &str) -> String {
        let mut name = String::new();
        for letter in variant.chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    #[test]
    fn names_are_unique_and_the_variants_in_snake_case() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(code.name(), snake_case(&format!("{code:?}")));
            assert_eq!(Code::named(code.name()), Some(*code));
        }
    }

    #[test]
    fn every_code_has_a_cause_and_every_error_a_remedy() {
        for code in Code::ALL {
            assert!(code.cause().ends_with(|c| ".”".contains(c)) && !code.cause().contains("  "), "{code}");
            assert!(code.is_warning_only() || !code.remedy().is_empty(), "{code}");
            assert!(!code.remedy().ends_with('.') && !code.remedy().contains("  "), "{code}: remedies are fragments");
        }
    }
}
