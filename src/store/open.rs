//! From the place that settings name to a store: folders, and buckets with each cloud's usual variables.
//!
//! Credentials come from the environment only, by each cloud's own chain (`AWS_…`, web identity and instance metadata;
//! `GOOGLE_APPLICATION_CREDENTIALS` and metadata; `AZURE_…`, workload and managed identity). Without encryption only this very
//! machine is called, whatever `AWS_ALLOW_HTTP` says.

use std::sync::Arc;

use object_store::ClientConfigKey;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{ObjectStore, RetryConfig, StaticCredentialProvider};

use super::bucket::{Bucket, Counts};
use super::error::StoreError;
use super::local::Local;
use super::{Kind, Store};
use crate::loopback::is_loopback;
use crate::redaction::remember;
use crate::secret::SecretString;
use crate::settings::{ObjectStore as Cloud, OutputLocation};

/// Variables whose values are secrets.
const SECRETS: [&str; 12] = [
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_BEARER_TOKEN",
];
/// One request, its answer included; a partition is a few megabytes.
const TIMEOUT: &str = "30 seconds";
/// A connection that does not open.
const CONNECT_TIMEOUT: &str = "5 seconds";
/// All attempts of one request; well below a lease.
const RETRY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(45);
const USER_AGENT: &str = concat!("criteo-source/", env!("CARGO_PKG_VERSION"));

impl Store {
    /// The output, for a run: a folder is made if it is missing, and proved writable by writing.
    pub async fn open(location: &OutputLocation) -> Result<Self, StoreError> {
        match location {
            OutputLocation::Local(path) => {
                let (root, place) = (path.clone(), path.display().to_string());
                let opened = tokio::task::spawn_blocking(move || Local::open(&root)).await;
                opened.unwrap_or(Err(StoreError::Thread { place })).map(|local| Self(Kind::Local(local)))
            }
            OutputLocation::Object { .. } => Self::read_only(location),
        }
    }

    /// The output as it is, for reading: nothing is made.
    pub fn read_only(location: &OutputLocation) -> Result<Self, StoreError> {
        match location {
            OutputLocation::Local(path) => Ok(Self(Kind::Local(Local::read_only(path)))),
            OutputLocation::Object { store, bucket, prefix } => {
                let _ = rustls::crypto::ring::default_provider().install_default();
                remember_secrets();
                let counts = Counts::default();
                let opened = match store {
                    Cloud::S3 => s3(bucket, &counts),
                    Cloud::GoogleCloud => google(bucket, &counts),
                    Cloud::Azure => azure(bucket, &counts),
                };
                let place = location.to_string();
                let opened =
                    opened.map_err(|source| StoreError::Settings { place: place.clone(), source: Box::new(source) })?;
                Ok(Self(Kind::Bucket(Bucket::new(opened, place, prefix, counts))))
            }
        }
    }
}

fn remember_secrets() {
    for value in SECRETS.iter().filter_map(|name| std::env::var(name).ok()) {
        // Of a shared access signature, the signature alone is in the addresses that are requested.
        let signature = value.split(['&', '?']).find_map(|part| part.strip_prefix("sig=")).map(str::to_owned);
        for secret in signature.into_iter().chain([value]) {
            remember(&SecretString::from(secret));
        }
    }
}

fn retry() -> RetryConfig {
    RetryConfig { max_retries: 6, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() }
}

/// Whether the endpoint that is set, if any, is on this very machine.
fn is_on_this_machine(endpoint: Option<&str>) -> bool {
    endpoint.and_then(|endpoint| reqwest::Url::parse(endpoint).ok()).is_some_and(|url| is_loopback(&url))
}

/// What every cloud's client is told.
fn client(is_plain: bool) -> [(ClientConfigKey, String); 4] {
    [
        (ClientConfigKey::AllowHttp, is_plain.to_string()),
        (ClientConfigKey::Timeout, TIMEOUT.to_owned()),
        (ClientConfigKey::ConnectTimeout, CONNECT_TIMEOUT.to_owned()),
        (ClientConfigKey::UserAgent, USER_AGENT.to_owned()),
    ]
}

fn s3(bucket: &str, counts: &Counts) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry());
    let endpoints = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
    let endpoint = endpoints.iter().find_map(|key| builder.get_config_value(key));
    for (key, value) in client(is_on_this_machine(endpoint.as_deref())) {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    Ok(Arc::new(builder.with_http_connector(counts.clone()).build()?))
}

fn google(bucket: &str, counts: &Counts) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(retry());
    let mut endpoint = builder.get_config_value(&GoogleConfigKey::BaseUrl);
    if let Some(emulator) = std::env::var("STORAGE_EMULATOR_HOST").ok().filter(|host| !host.is_empty()) {
        let address = if emulator.contains("://") { emulator } else { format!("http://{emulator}") };
        // An emulator checks none; without one, every write would look for the metadata server.
        let nobody = GcpCredential { bearer: "owner".to_owned() };
        let nobody = Arc::new(StaticCredentialProvider::new(nobody));
        builder = builder.with_base_url(&address).with_skip_signature(true).with_credentials(nobody);
        endpoint = Some(address);
    }
    for (key, value) in client(is_on_this_machine(endpoint.as_deref())) {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    Ok(Arc::new(builder.with_http_connector(counts.clone()).build()?))
}

fn azure(container: &str, counts: &Counts) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(container).with_retry(retry());
    let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint);
    let is_emulator = builder.get_config_value(&AzureConfigKey::UseEmulator).is_some_and(|value| value == "true");
    for (key, value) in client(is_emulator || is_on_this_machine(endpoint.as_deref())) {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    Ok(Arc::new(builder.with_http_connector(counts.clone()).build()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_called_without_encryption() {
        for address in ["http://127.0.0.1:5000", "http://localhost:9000/x", "http://[::1]:1"] {
            assert!(is_on_this_machine(Some(address)), "{address}");
        }
        for address in [Some("http://10.0.0.1"), Some("http://localhost.example.com"), Some("127.0.0.1"), None] {
            assert!(!is_on_this_machine(address), "{address:?}");
        }
    }
}
