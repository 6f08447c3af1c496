//! A prefix in a bucket, by `object_store`: one object a file, replaced in one request.
//!
//! It remembers which version of an object it has seen last, by reading, listing or writing it, and replaces only that one: what
//! another run wrote in the meantime stays ([`StoreError::Overtaken`]). With a lease taken, it writes nothing once that expired.
//! Deleting is not conditional in any store; it only looks at the lease.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion,
};

use super::error::StoreError;
use super::lease::LeaseClock;
use super::{Entry, Key};

/// Times that a write is begun again after the connection broke: whether it arrived is then not known, and writing the same
/// again is harmless.
const MAX_ATTEMPTS: usize = 3;

/// A prefix in a bucket; cheap to clone, the clones remember together.
#[derive(Clone, Debug)]
pub(super) struct Bucket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn ObjectStore>,
    name: String,
    prefix: String,
    counts: Counts,
    seen: Mutex<Seen>,
    lease: OnceLock<Arc<LeaseClock>>,
}

/// What is known of objects.
#[derive(Debug, Default)]
struct Seen {
    /// `None`: it is not there.
    objects: HashMap<String, Option<UpdateVersion>>,
    /// Folders that were listed: what is not known in them is not there.
    folders: Vec<String>,
}

/// What is known of one object.
enum Known {
    Nothing,
    Absent,
    At(UpdateVersion),
}

impl Seen {
    fn version(&self, key: &str) -> Known {
        match self.objects.get(key) {
            Some(Some(version)) => Known::At(version.clone()),
            Some(None) => Known::Absent,
            None if self.folders.iter().any(|folder| is_below(key, folder)) => Known::Absent,
            None => Known::Nothing,
        }
    }
}

fn is_below(key: &str, folder: &str) -> bool {
    key.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn version_of(meta: &ObjectMeta) -> UpdateVersion {
    UpdateVersion { e_tag: meta.e_tag.clone(), version: meta.version.clone() }
}

impl Bucket {
    /// A prefix of this store; `name` is what people read for it.
    pub(super) fn new(store: Arc<dyn ObjectStore>, name: String, prefix: &str, counts: Counts) -> Self {
        let prefix = prefix.to_owned();
        Self(Arc::new(Inner { store, name, prefix, counts, seen: Mutex::default(), lease: OnceLock::new() }))
    }

    pub(super) fn in_memory() -> Self {
        let store = Arc::new(object_store::memory::InMemory::new());
        Self::new(store, "memory://".to_owned(), "", Counts::default())
    }

    /// Another view of the same objects, that has seen nothing yet: as another process has.
    #[cfg(test)]
    pub(super) fn of_another_process(&self) -> Self {
        Self::new(Arc::clone(&self.0.store), self.0.name.clone(), &self.0.prefix, Counts::default())
    }

    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    pub(super) fn place(&self, key: &str) -> String {
        format!("{}/{key}", self.0.name.trim_end_matches('/'))
    }

    pub(super) fn requests(&self) -> BTreeMap<&'static str, u64> {
        self.0.counts.lock().clone()
    }

    /// From now on nothing is written once this lease has expired.
    pub(super) fn write_under(&self, lease: Arc<LeaseClock>) {
        // A store belongs to one run, which takes its lease once.
        let _ = self.0.lease.set(lease);
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, key: &str) -> Path {
        // Keys are clean already; a store's own encoding of `=` and others is `object_store`'s business.
        let text = if self.0.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.0.prefix) };
        Path::parse(&text).unwrap_or_else(|_| Path::from(text))
    }

    fn failed(&self, action: &'static str, key: &str) -> impl Fn(object_store::Error) -> StoreError {
        let place = self.place(key);
        move |source| StoreError::Bucket { action, place: place.clone(), source: Box::new(source) }
    }

    fn check_lease(&self) -> Result<(), StoreError> {
        match self.0.lease.get() {
            Some(lease) if !lease.is_valid() => Err(StoreError::LeaseExpired { place: self.0.name.clone() }),
            _ => Ok(()),
        }
    }

    pub(super) async fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        let read = self.read(key.as_str()).await.map_err(self.failed("read", key.as_str()))?;
        Ok(read.map(|(content, _)| content))
    }

    async fn read(&self, key: &str) -> object_store::Result<Option<(Bytes, UpdateVersion)>> {
        let found = match self.0.store.get(&self.path(key)).await {
            Ok(found) => found,
            Err(error) if is_missing(&error) => {
                self.seen().objects.insert(key.to_owned(), None);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let version = version_of(&found.meta);
        let content = found.bytes().await?;
        self.seen().objects.insert(key.to_owned(), Some(version.clone()));
        Ok(Some((content, version)))
    }

    pub(super) async fn put(&self, key: &Key, content: Bytes) -> Result<(), StoreError> {
        let seen = self.seen().version(key.as_str());
        let mode = match seen {
            Known::At(version) => PutMode::Update(self.with_generation(key.as_str(), version).await?),
            Known::Absent => PutMode::Create,
            Known::Nothing => PutMode::Overwrite,
        };
        self.check_lease()?;
        self.put_as(key.as_str(), content, mode).await
    }

    /// What changes when an object is replaced; `None` if it is not there.
    pub(super) async fn tag(&self, key: &Key) -> Result<Option<String>, StoreError> {
        match self.head(key.as_str()).await {
            Ok(meta) => Ok(meta.e_tag),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(self.failed("look at", key.as_str())(error)),
        }
    }

    async fn head(&self, key: &str) -> object_store::Result<ObjectMeta> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        Ok(self.0.store.get_opts(&self.path(key), options).await?.meta)
    }

    /// Google's listings do not say the generation that a conditional write needs.
    async fn with_generation(&self, key: &str, version: UpdateVersion) -> Result<UpdateVersion, StoreError> {
        if version.version.is_some() || !self.0.name.starts_with("gs://") {
            return Ok(version);
        }
        let now = version_of(&self.head(key).await.map_err(self.failed("look at", key))?);
        if now.e_tag == version.e_tag { Ok(now) } else { Err(StoreError::Overtaken { place: self.place(key) }) }
    }

    /// Writes under a condition, and knows its own write again where the connection broke before the store's answer came.
    pub(super) async fn put_as(&self, key: &str, content: Bytes, mut mode: PutMode) -> Result<(), StoreError> {
        let failed = self.failed("write", key);
        for attempt in 1.. {
            let payload = PutPayload::from_bytes(content.clone());
            let error = match self.0.store.put_opts(&self.path(key), payload, mode.clone().into()).await {
                Ok(put) => {
                    let version = UpdateVersion { e_tag: put.e_tag, version: put.version };
                    self.seen().objects.insert(key.to_owned(), Some(version));
                    return Ok(());
                }
                Err(error) => error,
            };
            match error {
                object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
                    match self.read(key).await.map_err(&failed)? {
                        Some((there, _)) if there == content => return Ok(()),
                        // Somebody has removed it.
                        None if attempt < MAX_ATTEMPTS => mode = PutMode::Create,
                        _ => return Err(StoreError::Overtaken { place: self.place(key) }),
                    }
                }
                object_store::Error::Generic { .. } if attempt < MAX_ATTEMPTS => {}
                error => return Err(failed(error)),
            }
            self.check_lease()?;
        }
        unreachable!("the last attempt returns")
    }

    pub(super) async fn list(&self, folder: &str) -> Result<Vec<Entry>, StoreError> {
        let prefix = self.path(folder);
        let found: Vec<ObjectMeta> =
            self.0.store.list(Some(&prefix)).try_collect().await.map_err(self.failed("list", folder))?;
        let (mut entries, mut seen) = (Vec::new(), self.seen());
        seen.objects.retain(|key, _| !is_below(key, folder));
        seen.folders.push(folder.to_owned());
        for meta in found {
            let location = meta.location.as_ref();
            let relative = location.strip_prefix(self.0.prefix.as_str()).unwrap_or(location).trim_start_matches('/');
            let Ok(key) = Key::new(relative) else { continue };
            seen.objects.insert(relative.to_owned(), Some(version_of(&meta)));
            entries.push(Entry { key, size: meta.size });
        }
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(entries)
    }

    pub(super) async fn folders(&self) -> Result<Vec<String>, StoreError> {
        let prefix = (!self.0.prefix.is_empty()).then(|| Path::from(self.0.prefix.as_str()));
        let found = self.0.store.list_with_delimiter(prefix.as_ref()).await.map_err(self.failed("list", ""))?;
        let names = found.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned));
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names)
    }

    pub(super) async fn remove(&self, key: &Key) -> Result<(), StoreError> {
        self.check_lease()?;
        match self.0.store.delete(&self.path(key.as_str())).await {
            Err(error) if !is_missing(&error) => return Err(self.failed("remove", key.as_str())(error)),
            _ => {}
        }
        self.seen().objects.insert(key.as_str().to_owned(), None);
        Ok(())
    }

    /// What is at `key`, and the condition under which it can be replaced.
    pub(super) async fn read_to_replace(&self, key: &str) -> Result<(Option<Bytes>, PutMode), StoreError> {
        Ok(match self.read(key).await.map_err(self.failed("read", key))? {
            Some((content, version)) => (Some(content), PutMode::Update(version)),
            None => (None, PutMode::Create),
        })
    }

    /// The condition under which the object can be replaced that this view wrote or read last.
    pub(super) fn to_replace(&self, key: &str) -> PutMode {
        match self.seen().version(key) {
            Known::At(version) => PutMode::Update(version),
            Known::Absent | Known::Nothing => PutMode::Create,
        }
    }
}

/// Whether an object is not there; a bucket that is not there says so in other words.
fn is_missing(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { source, .. } if !source.to_string().contains("NoSuchBucket")
        && !source.to_string().contains("ContainerNotFound"))
}

/// Requests by kind, counted where they are sent, so that pages and repeats count too.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Counts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, request: &HttpRequest) {
        let query = request.uri().query().unwrap_or_default();
        let kind = match request.method().as_str() {
            "GET" if query.contains("list-type=2") || query.contains("comp=list") => "list",
            "GET" | "HEAD" => "get",
            "PUT" => "put",
            "DELETE" => "delete",
            "POST" if query.split('&').any(|part| part == "delete" || part == "delete=") => "delete",
            _ => "other",
        };
        *self.lock().entry(kind).or_default() += 1;
    }
}

impl HttpConnector for Counts {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Counting { inner, counts: self.clone() }))
    }
}

struct Counting {
    inner: HttpClient,
    counts: Counts,
}

impl fmt::Debug for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counting").finish_non_exhaustive()
    }
}

impl HttpService for Counting {
    fn call<'s, 'f>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        self.counts.count(&request);
        Box::pin(self.inner.execute(request))
    }
}
