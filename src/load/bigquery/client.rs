//! Calls of BigQuery's REST API: resources, jobs that are waited for, uploads. What is requested twice is done once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};

use super::auth::GoogleBearer;
use super::upload::Chunks;
use crate::clock::Clock;
use crate::error::error_chain;
use crate::http::{BearerSource, Body, HttpClient, HttpOptions, Problem, Request, SendError};
use crate::load::error::{LoadError, LoadErrorKind};
use crate::load::files::LoadFile;
use crate::load::target::Mode;
use crate::settings::load::BigQuerySettings;

const API: &str = "https://bigquery.googleapis.com";
/// As much of an answer as is read: a page of rows of a small table, or a job with its errors.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// Jobs that failed for a passing reason are started again this often.
const MAX_JOB_ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// Rows of a page.
const PAGE_ROWS: u32 = 10_000;
/// Reasons of failed jobs and refused requests that pass (BigQuery docs, page Error messages).
const TRANSIENT: [&str; 6] =
    ["backendError", "jobBackendError", "internalError", "rateLimitExceeded", "jobRateLimitExceeded", "quotaExceeded"];
const GRANTS: &str = "grant `roles/bigquery.dataEditor` on the dataset and `roles/bigquery.jobUser` on the project to the account \
     of the credentials (and `roles/bigquery.user` on the project, if the dataset is to be created)";

/// A connection to one project.
pub(super) struct Client {
    http: HttpClient,
    base: Url,
    project: String,
    location: Option<String>,
    bearer: Option<Arc<dyn BearerSource>>,
    clock: Clock,
    jobs: u64,
    bytes_billed: u64,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base.as_str())
            .field("project", &self.project)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(settings: &BigQuerySettings, mode: Mode, clock: &Clock) -> Result<Self, LoadError> {
        let unusable = |message: String| LoadError::new(LoadErrorKind::Unreachable, message);
        let emulator = settings
            .emulator_host
            .as_ref()
            .map(|host| if host.contains("://") { host.clone() } else { format!("http://{host}") });
        let base = Url::parse(emulator.as_deref().unwrap_or(API))
            .map_err(|error| unusable(format!("`BIGQUERY_EMULATOR_HOST` is not an address: {error}")))?;
        let options = HttpOptions { allow_plain_http: emulator.is_some(), ..HttpOptions::default() };
        // Somebody waits for what is only printed.
        let options = if mode == Mode::Print { options.interactive() } else { options };
        let http = HttpClient::new(options, clock.clone()).map_err(|error| unusable(error_chain(&error)))?;
        let bearer: Option<Arc<dyn BearerSource>> = if emulator.is_some() {
            None
        } else {
            Some(Arc::new(GoogleBearer::new(settings.credentials_file.as_deref(), clock)))
        };
        let project = settings.project.clone().or_else(|| project_of(settings)).ok_or_else(|| {
            let error = unusable("no project to load into is known".to_owned());
            error.with_remedy("set `project` in `[load.bigquery]`, or `--project`")
        })?;
        Ok(Self { http, base, project, location: None, bearer, clock: clock.clone(), jobs: 0, bytes_billed: 0 })
    }

    pub(super) fn project(&self) -> &str {
        &self.project
    }

    pub(super) fn jobs(&self) -> u64 {
        self.jobs
    }

    pub(super) fn bytes_billed(&self) -> u64 {
        self.bytes_billed
    }

    pub(super) fn set_location(&mut self, location: &str) {
        self.location = Some(location.to_owned());
    }

    /// A resource of the project; `None` if there is none.
    pub(super) async fn get(&self, path: &str, what: &str) -> Result<Option<Value>, LoadError> {
        let request = Request { accepted: &[StatusCode::NOT_FOUND], ..Request::get(self.url(path), what) };
        let (status, _, answer) = self.send(request).await?;
        Ok((status != StatusCode::NOT_FOUND).then_some(answer))
    }

    /// Creates a resource; one that is there already stays as it is.
    pub(super) async fn create(&self, path: &str, body: &Value, what: &str) -> Result<Option<Value>, LoadError> {
        let request =
            Request { accepted: &[StatusCode::CONFLICT], ..Request::post(self.url(path), json_body(body), what) };
        let (_, _, answer) = self.send(request).await?;
        Ok(Some(answer))
    }

    /// Deletes a resource, if it is there.
    pub(super) async fn delete(&self, path: &str) -> Result<(), LoadError> {
        let request = Request::new(Method::DELETE, self.url(path), "deleting a staging table");
        self.send(Request { accepted: &[StatusCode::NOT_FOUND], ..request }).await.map(drop)
    }

    /// Every row of a small table, as the API writes them; none if there is no such table.
    pub(super) async fn rows(&self, table: &str) -> Result<Vec<Value>, LoadError> {
        let mut rows = Vec::new();
        let mut page: Option<String> = None;
        loop {
            let mut url = self.url(&format!("{table}/data"));
            url.query_pairs_mut().append_pair("maxResults", &PAGE_ROWS.to_string());
            if let Some(page) = &page {
                url.query_pairs_mut().append_pair("pageToken", page);
            }
            let request = Request { accepted: &[StatusCode::NOT_FOUND], ..Request::get(url, "what is loaded") };
            let (status, _, answer) = self.send(request).await?;
            if status == StatusCode::NOT_FOUND {
                return Ok(rows);
            }
            rows.extend(answer["rows"].as_array().cloned().unwrap_or_default());
            match answer["pageToken"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => page = Some(token.to_owned()),
                None => return Ok(rows),
            }
        }
    }

    /// Runs a job to its end. It is started again where it failed for a reason that passes.
    pub(super) async fn run_job(&mut self, id: &str, configuration: Value) -> Result<Value, LoadError> {
        for attempt in 1.. {
            let id = format!("{id}-{attempt}");
            let body = self.job(&id, &configuration);
            let request = Request::post(self.url("jobs"), json_body(&body), what_of(&configuration));
            // The answer to an earlier attempt was lost: the job is there, and is read.
            let (_, _, answer) = self.send(Request { accepted: &[StatusCode::CONFLICT], ..request }).await?;
            self.jobs += 1;
            let done = self.wait(&id, answer).await?;
            if let Some(job) = self.judge(done, attempt).await? {
                return Ok(job);
            }
            tracing::info!(job = id, attempt, "the job failed for a reason that passes; starting it again");
        }
        unreachable!("the last attempt returns")
    }

    /// Runs a load job whose data are the rows of files on this machine.
    pub(super) async fn run_upload(
        &mut self,
        id: &str,
        configuration: Value,
        files: &[&LoadFile],
    ) -> Result<Value, LoadError> {
        for attempt in 1.. {
            let id = format!("{id}-{attempt}");
            let answer = self.upload(&id, &configuration, files).await?;
            self.jobs += 1;
            let done = self.wait(&id, answer).await?;
            if let Some(job) = self.judge(done, attempt).await? {
                return Ok(job);
            }
            tracing::info!(job = id, attempt, "the job failed for a reason that passes; starting it again");
        }
        unreachable!("the last attempt returns")
    }

    fn job(&self, id: &str, configuration: &Value) -> Value {
        let mut reference = json!({"projectId": self.project, "jobId": id});
        if let Some(location) = &self.location {
            reference["location"] = json!(location);
        }
        json!({"jobReference": reference, "configuration": configuration})
    }

    /// A resumable upload in pieces; the answer to the last one is the job.
    async fn upload(&self, id: &str, configuration: &Value, files: &[&LoadFile]) -> Result<Value, LoadError> {
        let mut url = self.base.clone();
        url.set_path(&format!("upload/bigquery/v2/projects/{}/jobs", self.project));
        url.set_query(Some("uploadType=resumable"));
        let mut request = Request::post(url, json_body(&self.job(id, configuration)), what_of(configuration));
        let media_type = HeaderName::from_static("x-upload-content-type");
        request.headers.insert(media_type, HeaderValue::from_static("application/octet-stream"));
        let (_, headers, _) = self.send(request).await?;
        let session = headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let session = session.and_then(|session| self.base.join(session).ok());
        let session = session.ok_or_else(|| LoadError::new(LoadErrorKind::Failed, "BigQuery began no upload"))?;
        let mut chunks = Chunks::of(files)?;
        let mut sent = 0;
        while let Some((chunk, is_last)) = chunks.next()? {
            let end = sent + chunk.len();
            let total = if is_last { end.to_string() } else { "*".to_owned() };
            let range = format!("bytes {sent}-{}/{total}", end.saturating_sub(1));
            let body = Body::Bytes { content_type: "application/octet-stream", bytes: Bytes::from(chunk) };
            let mut request = Request::new(Method::PUT, session.clone(), what_of(configuration));
            (request.body, request.accepted) = (body, &[StatusCode::PERMANENT_REDIRECT]);
            let range = HeaderValue::from_str(&range);
            request.headers.extend(range.ok().map(|range| (CONTENT_RANGE, range)));
            let (status, _, answer) = self.send(request).await?;
            if is_last && status != StatusCode::PERMANENT_REDIRECT {
                return Ok(answer);
            }
            sent = end;
        }
        Err(LoadError::new(LoadErrorKind::Failed, "BigQuery did not take the whole upload"))
    }

    /// The job once it is done.
    async fn wait(&self, id: &str, mut job: Value) -> Result<Value, LoadError> {
        let mut pause = FIRST_PAUSE;
        while job["status"]["state"] != "DONE" {
            self.clock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            let mut url = self.url(&format!("jobs/{id}"));
            if let Some(location) = &self.location {
                url.query_pairs_mut().append_pair("location", location);
            }
            (_, _, job) = self.send(Request::get(url, "a job")).await?;
        }
        Ok(job)
    }

    /// The job if it did what it was to do, nothing if it is worth starting again.
    async fn judge(&mut self, job: Value, attempt: u32) -> Result<Option<Value>, LoadError> {
        self.bytes_billed += number(&job["statistics"]["query"]["totalBytesBilled"]).unwrap_or(0);
        let Some(error) = job["status"].get("errorResult").filter(|error| !error.is_null()) else {
            return Ok(Some(job));
        };
        let reason = error["reason"].as_str().unwrap_or_default();
        let message = error["message"].as_str().unwrap_or("the job failed without a word");
        if is_transient(reason, message) && attempt < MAX_JOB_ATTEMPTS {
            self.clock.sleep(FIRST_PAUSE * 2_u32.pow(attempt)).await;
            return Ok(None);
        }
        let kind = if reason == "accessDenied" { LoadErrorKind::Refused } else { LoadErrorKind::Failed };
        let error = LoadError::new(kind, format!("BigQuery: {message} ({reason})"));
        Err(if kind == LoadErrorKind::Refused { error.with_remedy(GRANTS) } else { error })
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("bigquery/v2/projects/{}/{path}", self.project));
        url
    }

    async fn send(&self, request: Request) -> Result<(StatusCode, HeaderMap, Value), LoadError> {
        let request = Request { bearer: self.bearer.clone(), problem: Problem::of_google, transient, ..request };
        let answered = self.http.send(&request, |response| async {
            let (status, headers) = (response.status(), response.headers().clone());
            let body = response.bytes_limited(MAX_ANSWER_BYTES).await?;
            let is_document = status.is_success() && !body.is_empty();
            // What is not read as a document has a status that says all.
            let answer = if is_document { serde_json::from_slice(&body).unwrap_or_default() } else { Value::Null };
            Ok((status, headers, answer))
        });
        answered.await.map_err(|error| explain(&error))
    }
}

fn json_body(body: &Value) -> Body {
    Body::Json(Bytes::from(body.to_string()))
}

fn what_of(configuration: &Value) -> &'static str {
    if configuration.get("load").is_some() { "a load job of BigQuery" } else { "a query job of BigQuery" }
}

fn is_transient(reason: &str, message: &str) -> bool {
    let message = message.to_lowercase();
    TRANSIENT.contains(&reason)
        || message.contains("aborted due to concurrent update")
        || message.contains("could not serialize access")
}

fn transient(status: StatusCode, problem: &Problem) -> bool {
    status == StatusCode::FORBIDDEN && problem.code().is_some_and(|code| TRANSIENT.contains(&code))
}

/// A request that was given up, in BigQuery's words, with the grant to ask for where it is one.
fn explain(error: &SendError) -> LoadError {
    let message = error_chain(error);
    match error {
        SendError::Refused { status, .. } if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(status) => {
            LoadError::new(LoadErrorKind::Refused, message).with_remedy(GRANTS)
        }
        SendError::Bearer { .. } => no_credentials(error),
        SendError::Refused { .. } => LoadError::new(LoadErrorKind::Failed, message),
        _ => LoadError::new(LoadErrorKind::Unreachable, message),
    }
}

fn no_credentials(error: &(dyn std::error::Error + 'static)) -> LoadError {
    let message = format!("no access token for BigQuery: {}", error_chain(error));
    LoadError::new(LoadErrorKind::Refused, message).with_remedy(
        "install Google's `gcloud`; set `GOOGLE_APPLICATION_CREDENTIALS` to the JSON of a service account or of workload identity, or run \
         `gcloud auth application-default login`",
    )
}

/// The project of a service-account key; nothing else of the file is looked at.
fn project_of(settings: &BigQuerySettings) -> Option<String> {
    let text = std::fs::read_to_string(settings.credentials_file.as_ref()?).ok()?;
    let key: Value = serde_json::from_str(&text).ok()?;
    key["project_id"].as_str().map(str::to_owned)
}

/// A number, which the API writes as text.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_stays() {
        assert!(is_transient("rateLimitExceeded", ""));
        assert!(is_transient("invalidQuery", "Transaction is aborted due to concurrent update against table x"));
        assert!(!is_transient("invalidQuery", "Syntax error"));
        assert!(!is_transient("accessDenied", "Access Denied"));
    }
}
