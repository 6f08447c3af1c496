//! Lists of resources: read page by page, each resource parsed once and handed over at once.
//!
//! Nothing of a page is kept here; memory is that of one response. What a resource means is the receiver's business.

use std::ops::Range;

use bytes::Bytes;
use reqwest::Url;

use super::client::{CriteoClient, FetchError, answered_with_errors, notice_problem};
use super::pages::{EndlessList, Reading};
use crate::catalog::{EndpointId, Pagination};
use crate::http::{Body, ReadError, Request, Response};
use crate::json::{BYTE_ORDER_MARK, Cursor, Json, JsonError};
use crate::notice::Code;
use crate::table::excerpt::excerpt;

/// Largest list of resources read in one response.
const MAX_LIST_BYTES: usize = 64 << 20;
/// Most resources in one response: a resource of a few bytes takes hundreds as a row.
const MAX_LIST_RESOURCES: usize = 200_000;
/// As much as is looked at of what stands where a resource should.
const SHOWN_BYTES: usize = 100;
/// Resources parsed at a time: few enough for their trees to be small, enough for a batch of rows to pay.
const BATCH: usize = 256;

/// What a list request asks for.
#[derive(Clone, Debug)]
pub struct ListRequest {
    /// Which endpoint.
    pub endpoint: EndpointId,
    /// The advertiser or ad set in the path.
    pub parent_id: Option<String>,
    /// The JSON body of a search.
    pub body: Option<Vec<u8>>,
    /// For messages.
    pub what: String,
    /// Attempts at most, where something is known to fail; `None` for as many as usual.
    pub attempts: Option<u32>,
}

/// Receives the resources of a list.
pub trait ResourceSink: Send {
    /// Takes some of them; an error ends the list.
    fn take(&mut self, resources: Vec<Json<'_>>) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// One response: its text, and where the resources in it are.
#[derive(Clone, Debug, Default)]
pub struct ListPage {
    body: Bytes,
    resources: Vec<Range<usize>>,
}

impl ListPage {
    /// Finds the resources in a body.
    fn read(body: Bytes) -> Result<(Self, Notes), ReadError> {
        let mut page = Self { body, resources: Vec::new() };
        let mut notes = Notes::default();
        let read = page.walk(&mut notes);
        read.map_err(|error| match error {
            PageError::Json(error @ JsonError::Unusable { .. }) => ReadError::fatal(error),
            PageError::Json(error) => ReadError::retry(error),
            PageError::Shape(error) => ReadError::fatal(error),
        })?;
        Ok((page, notes))
    }

    fn walk(&mut self, notes: &mut Notes) -> Result<(), PageError> {
        let body = self.body.clone();
        let start = if body.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let mut cursor = Cursor::new(&body, start);
        let mut has_data = false;
        if cursor.peek_token()? != b'{' {
            // Whatever else it is, it is no list; its grammar says whether it is worth another attempt.
            cursor.skip_value()?;
            return Err(NoList.into());
        }
        cursor.take(b'{');
        let mut names: Vec<String> = Vec::new();
        while !(names.is_empty() && cursor.peek_token()? == b'}') {
            let name = cursor.key()?.resolve().into_owned();
            if names.contains(&name) {
                return Err(cursor.unusable("a key appears twice in one object").into());
            }
            match name.as_str() {
                "data" => has_data = self.walk_data(&mut cursor)?,
                "errors" => notes.errors = non_empty(cursor.skip_value()?),
                "warnings" => notes.warnings = non_empty(cursor.skip_value()?),
                _ => drop(cursor.skip_value()?),
            }
            names.push(name);
            if cursor.peek_token()? == b'}' {
                break;
            }
            cursor.expect(b',', "expected `,` or `}`")?;
        }
        cursor.expect(b'}', "expected `,` or `}`")?;
        cursor.skip_whitespace();
        if cursor.position() < body.len() {
            return Err(cursor.invalid("text after the end of the document").into());
        }
        if has_data || notes.errors.is_some() { Ok(()) } else { Err(NoList.into()) }
    }

    /// The value of `data`: a list of resources, or a single one; whether it is either.
    fn walk_data(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, PageError> {
        match cursor.peek_token()? {
            b'{' => {
                self.walk_resource(cursor)?;
                return Ok(true);
            }
            b'[' => {}
            _ => {
                cursor.skip_value()?;
                return Ok(false);
            }
        }
        cursor.take(b'[');
        if cursor.peek_token()? == b']' {
            cursor.take(b']');
            return Ok(true);
        }
        loop {
            self.walk_resource(cursor)?;
            if cursor.peek_token()? == b']' {
                cursor.take(b']');
                return Ok(true);
            }
            cursor.expect(b',', "expected `,` or the end of the list")?;
        }
    }

    fn walk_resource(&mut self, cursor: &mut Cursor<'_>) -> Result<(), PageError> {
        if cursor.peek_token()? != b'{' {
            let rest = self.body.get(cursor.position()..).unwrap_or_default();
            let beginning = String::from_utf8_lossy(&rest[..rest.len().min(SHOWN_BYTES)]).into_owned();
            return Err(NoResource(excerpt(&beginning)).into());
        }
        if self.resources.len() == MAX_LIST_RESOURCES {
            return Err(cursor.unusable("too many resources in one response").into());
        }
        let start = cursor.position();
        cursor.skip_value()?;
        self.resources.push(start..cursor.position());
        Ok(())
    }

    /// How many resources it has.
    pub fn len(&self) -> usize {
        self.resources.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// Its resources, in order; [`CriteoClient::page`] has checked that they can be parsed.
    pub fn resources(&self) -> Vec<Json<'_>> {
        self.resources.iter().filter_map(|range| self.parse(range).ok()).map(|(json, _)| json).collect()
    }

    /// A resource, and whether text in it had to be repaired.
    fn parse(&self, range: &Range<usize>) -> Result<(Json<'_>, bool), JsonError> {
        Json::parse_noting_repairs(&self.body[range.clone()]).map_err(|error| match error {
            JsonError::Incomplete => JsonError::Incomplete,
            JsonError::Invalid { offset, reason } => JsonError::Invalid { offset: range.start + offset, reason },
            JsonError::Unusable { offset, reason } => JsonError::Unusable { offset: range.start + offset, reason },
        })
    }

    /// Every resource, parsed and dropped a few at a time.
    fn each_batch(
        &self,
        mut take: impl FnMut(Vec<(Json<'_>, bool)>) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        for ranges in self.resources.chunks(BATCH) {
            take(ranges.iter().map(|range| self.parse(range)).collect::<Result<_, _>>()?)?;
        }
        Ok(())
    }
}

/// What came beside the resources, as JSON text.
#[derive(Debug, Default)]
struct Notes {
    errors: Option<Vec<u8>>,
    warnings: Option<Vec<u8>>,
}

fn non_empty(value: &[u8]) -> Option<Vec<u8>> {
    let is_empty = value == b"null" || value.iter().all(|byte| b"[] \t\r\n".contains(byte));
    (!is_empty).then(|| value.to_vec())
}

enum PageError {
    Json(JsonError),
    Shape(Box<dyn std::error::Error + Send + Sync>),
}

impl From<JsonError> for PageError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl From<NoList> for PageError {
    fn from(error: NoList) -> Self {
        Self::Shape(Box::new(error))
    }
}

impl From<NoResource> for PageError {
    fn from(error: NoResource) -> Self {
        Self::Shape(Box::new(error))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the response has no `data`")]
struct NoList;

#[derive(Debug, thiserror::Error)]
#[error("`{0}` where a resource was expected in `data`")]
struct NoResource(String);

#[derive(Debug, thiserror::Error)]
#[error("what Criteo sent as an identifier is none: it has characters that would make it another address")]
struct NoIdentifier;

fn is_identifier(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn id_text(resource: &Json<'_>) -> String {
    resource.get("id").map(Json::to_string).unwrap_or_default()
}

impl CriteoClient {
    /// The call for a list. An identifier that would make its address another one is refused: identifiers come from Criteo,
    /// and the endpoints are a fixed list.
    fn list_call(&self, request: &ListRequest) -> Result<Request, FetchError> {
        if request.parent_id.as_ref().is_some_and(|id| !is_identifier(id)) {
            return Err(unreadable(request, NoIdentifier));
        }
        let endpoint = self.endpoint(request.endpoint);
        let body = request.body.clone().map_or(Body::Empty, |body| Body::Json(body.into()));
        let mut call = self.request(endpoint, request.parent_id.as_deref(), body, request.what.clone());
        call.attempts = request.attempts;
        Ok(call)
    }

    /// Fetches the only page of a list, or the first of several: enough to prove that it may be read.
    pub async fn page(&self, request: &ListRequest) -> Result<ListPage, FetchError> {
        let mut call = self.list_call(request)?;
        if let Pagination::Offset { limit } = self.endpoint(request.endpoint).pagination {
            seek(&mut call.url, limit as usize, 0);
        }
        let page = self.fetch_page(&call, request).await?;
        let parsed = page.each_batch(|resources| {
            self.note_repaired(request, &resources);
            Ok(())
        });
        parsed.map_err(|error| unreadable(request, error))?;
        if request.endpoint == EndpointId::AdvertisersMe {
            self.learn_consents(page.len());
        }
        Ok(page)
    }

    /// Fetches a list to its end (`pages` says how that is known) and hands each resource over once; the calls it took.
    pub async fn list(&self, request: &ListRequest, sink: &mut dyn ResourceSink) -> Result<u64, FetchError> {
        let mut call = self.list_call(request)?;
        let Pagination::Offset { limit } = self.endpoint(request.endpoint).pagination else {
            let page = self.fetch_page(&call, request).await?;
            self.hand_over(request, &page, None, sink)?;
            return Ok(1);
        };
        let limit = limit as usize;
        let (mut reading, mut calls) = (Reading::new(limit), 0);
        while let Some(offset) = reading.next_offset() {
            seek(&mut call.url, limit, offset);
            let page = self.fetch_page(&call, request).await?;
            calls += 1;
            self.hand_over(request, &page, Some(&mut reading), sink)?;
        }
        Ok(calls)
    }

    /// Hands over the resources of a page that `reading` has not seen before.
    fn hand_over(
        &self,
        request: &ListRequest,
        page: &ListPage,
        reading: Option<&mut Reading>,
        sink: &mut dyn ResourceSink,
    ) -> Result<(), FetchError> {
        let mut ids = Vec::new();
        if reading.is_some() {
            let parsed = page.each_batch(|resources| {
                ids.extend(resources.iter().map(|(json, _)| id_text(json)));
                Ok(())
            });
            parsed.map_err(|error| unreadable(request, error))?;
        }
        let news = reading.map(|reading| reading.take(&ids)).transpose();
        let news = news.map_err(|error: EndlessList| unreadable(request, error))?;
        let mut position = 0;
        let taken = page.each_batch(|resources| {
            self.note_repaired(request, &resources);
            let is_new = |at: usize| news.as_ref().is_none_or(|news| news[at]);
            let fresh = (position..).zip(resources);
            let fresh: Vec<(usize, Json<'_>)> = fresh.map(|(at, (json, _))| (at, json)).collect();
            position += fresh.len();
            let fresh: Vec<Json<'_>> = fresh.into_iter().filter(|(at, _)| is_new(*at)).map(|(_, json)| json).collect();
            sink.take(fresh)
        });
        taken.map_err(|error| unreadable(request, error))
    }

    async fn fetch_page(&self, call: &Request, request: &ListRequest) -> Result<ListPage, FetchError> {
        let sent = self.http().send(call, |response| self.read_page(request, response)).await;
        sent.map_err(|error| FetchError::of_list(error, request))
    }

    async fn read_page(&self, request: &ListRequest, response: Response) -> Result<ListPage, ReadError> {
        self.note_headers(response.headers());
        let mut body = response.bytes_limited(MAX_LIST_BYTES).await?;
        if std::str::from_utf8(&body).is_err() {
            body = String::from_utf8_lossy(&body).into_owned().into();
            self.note(Code::TextNotUnicode, format!("{}: bytes that are not UTF-8 are stored as U+FFFD", request.what));
        }
        let (page, notes) = ListPage::read(body)?;
        if let Some(errors) = notes.errors {
            return Err(answered_with_errors(&errors));
        }
        if let Some(warnings) = notes.warnings {
            for entry in notice_problem(&warnings).entries() {
                self.note(Code::CriteoWarning, entry.to_string());
            }
        }
        Ok(page)
    }

    fn note_repaired(&self, request: &ListRequest, resources: &[(Json<'_>, bool)]) {
        for (resource, _) in resources.iter().filter(|(_, is_repaired)| *is_repaired) {
            let Some((name, text)) = resource.find_repaired() else { continue };
            let message = format!(
                "{}: `{name}` of resource {} is not Unicode, `{}`; what is no character is stored as U+FFFD",
                request.what,
                id_text(resource),
                excerpt(text)
            );
            self.note(Code::TextNotUnicode, message);
        }
    }
}

fn seek(url: &mut Url, limit: usize, offset: usize) {
    url.set_query(Some(&format!("limit={limit}&offset={offset}")));
}

fn unreadable(request: &ListRequest, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> FetchError {
    FetchError::unreadable(&request.what, error)
}
