//! The one task that owns store and ledger: changes come in over a channel, and are written one after the other.
//!
//! Its own state is in memory; a reader locks that for a moment, never a disk. A publication that breaks off, for instance because
//! the disk is full, is settled before the next one. In a bucket, where requests take time and cost money, publications that
//! wait are written together, and `pending.json` is written over by the next one instead of being removed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chrono::NaiveDate;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::error::OutputError;
use super::inventory::{Inventory, UnexpectedFile};
use super::reading::{key, read_to_write, settlement};
use crate::ledger::{
    Change, Ledger, LedgerFiles, PENDING_FILE, PartitionRecord, Prepared, Reconciliation, RunRecord, Write,
    partition_path, tidy,
};
use crate::store::{Staged, Store, StoreError, checksum};

/// Changes that may wait; whoever sends one more waits itself.
const MAX_WAITING: usize = 32;
/// Writes of one step under way at once.
const CONCURRENT_WRITES: usize = 8;

/// A staged file with its record.
#[derive(Debug)]
pub struct NewFile {
    /// The content, where nobody sees it yet.
    pub staged: Staged,
    /// What the ledger will say of it.
    pub record: PartitionRecord,
}

/// A partition that this run has read: its file was replaced, or confirmed as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublishedFile {
    /// Table.
    #[serde(skip)]
    pub table: String,
    /// Day or snapshot date.
    pub date: NaiveDate,
    /// Where it is: a path or URL below the output.
    pub path: String,
    /// Rows in it.
    pub rows: u64,
    /// Bytes.
    #[serde(skip)]
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Whether the file is another one than before.
    pub changed: bool,
    /// How its sums compare with Criteo's totals; absent for snapshots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciliation: Option<Reconciliation>,
}

impl PublishedFile {
    fn of(record: &PartitionRecord, changed: bool) -> Self {
        Self {
            table: record.table.clone(),
            date: record.date,
            path: record.path(),
            rows: record.rows,
            bytes: record.bytes,
            sha256: record.sha256.clone(),
            changed,
            reconciliation: record.reconciliation,
        }
    }
}

/// A handle of the task; cheap to clone.
#[derive(Clone, Debug)]
pub struct Output {
    shared: Arc<Shared>,
    changes: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    ledger: Mutex<Ledger>,
    published: Mutex<Vec<PublishedFile>>,
    unexpected: Vec<UnexpectedFile>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// A change, the files it needs, and whom to tell.
#[derive(Debug)]
struct Request {
    change: Change,
    staged: Vec<Staged>,
    /// Records of partitions that were read, and whether their files are new.
    read: Vec<PublishedFile>,
    /// Nothing comes after it.
    is_last: bool,
    done: oneshot::Sender<Result<(), OutputError>>,
}

impl Output {
    /// Opens an output for writing: settles what a killed run left, and lists the folders of these tables. Only the holder of the
    /// run lock may call this; nothing is written before the first change.
    pub async fn open(store: &Store, tables: &[&str]) -> Result<Self, OutputError> {
        store.sweep().await?;
        let (mut ledger, settled, Inventory { unexpected, .. }) = read_to_write(store, tables).await?;
        carry_out(store, &settled, Vec::new()).await?;
        ledger.apply(settled);
        let (changes, requests) = mpsc::channel(MAX_WAITING);
        let shared = Arc::new(Shared {
            store: store.clone(),
            ledger: Mutex::new(ledger),
            published: Mutex::default(),
            unexpected,
            task: Mutex::default(),
        });
        let task = tokio::spawn(Task { shared: Arc::clone(&shared), requests, is_unsettled: false }.run());
        *shared.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(Self { shared, changes })
    }

    /// The ledger as it is now; for looking, never held across an await.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.shared.ledger()
    }

    /// The place in words.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Files in the tables' folders that loaders would read although this program did not write them.
    pub fn unexpected(&self) -> &[UnexpectedFile] {
        &self.shared.unexpected
    }

    /// Everything that was published or confirmed so far, whether somebody waited for it or not.
    pub fn published(&self) -> Vec<PublishedFile> {
        self.shared.published().clone()
    }

    /// The content of a partition's live file, or `None` if there is none.
    pub async fn get(&self, table: &str, date: NaiveDate) -> Result<Option<Bytes>, OutputError> {
        Ok(self.shared.store.get(&key(&partition_path(table, date))).await?)
    }

    /// Whether a partition's live file is the recorded one. On a local disk its content is compared, so that a damaged file is
    /// replaced; it blocks there: call it on a thread that may. In a bucket its size is, as it was listed.
    pub fn is_intact(&self, record: &PartitionRecord) -> bool {
        if self.shared.store.is_remote() {
            return self.ledger().is_live(record);
        }
        let content = self.shared.store.read_local(&key(&record.path()));
        content.is_some_and(|content| checksum(&content) == record.sha256)
    }

    /// Takes content where nobody sees it. It may block: call it on a thread that may.
    pub fn stage(&self, content: Bytes) -> Result<Staged, OutputError> {
        Ok(self.shared.store.stage(content)?)
    }

    /// A run begins: the output has an identity from now on.
    pub async fn begin(&self) -> Result<(), OutputError> {
        self.send(Change::Begin, Vec::new(), Vec::new()).await
    }

    /// Publishes staged files with their records: afterwards, and after a crash at any moment, each file is the old or the
    /// new one and the ledger knows which.
    pub async fn publish(&self, files: Vec<NewFile>) -> Result<(), OutputError> {
        if files.is_empty() {
            return Ok(());
        }
        let read = files.iter().map(|file| PublishedFile::of(&file.record, true)).collect();
        let (staged, records) = files.into_iter().map(|file| (file.staged, file.record)).unzip();
        self.send(Change::Publish(records), staged, read).await
    }

    /// Records of partitions that were read again and found as they are: their files stay.
    pub async fn confirm(&self, records: Vec<PartitionRecord>) -> Result<(), OutputError> {
        if records.is_empty() {
            return Ok(());
        }
        let read = records.iter().map(|record| PublishedFile::of(record, false)).collect();
        self.send(Change::Amend(records), Vec::new(), read).await
    }

    /// Remembers a row cap that was proven, for the next runs; `None` forgets it.
    pub async fn set_row_cap(&self, table: &str, cap: Option<u64>) -> Result<(), OutputError> {
        self.send(Change::RowCap { table: table.to_owned(), cap }, Vec::new(), Vec::new()).await
    }

    /// Removes a partition's file and its record.
    pub async fn prune(&self, table: &str, date: NaiveDate) -> Result<(), OutputError> {
        self.send(Change::Remove { table: table.to_owned(), date }, Vec::new(), Vec::new()).await
    }

    /// Writes the record of a run, at its start and at its end.
    pub async fn record_run(&self, run: RunRecord) -> Result<(), OutputError> {
        self.send(Change::Run(run), Vec::new(), Vec::new()).await
    }

    async fn send(&self, change: Change, staged: Vec<Staged>, read: Vec<PublishedFile>) -> Result<(), OutputError> {
        self.send_as(change, staged, read, false).await
    }

    async fn send_as(
        &self,
        change: Change,
        staged: Vec<Staged>,
        read: Vec<PublishedFile>,
        is_last: bool,
    ) -> Result<(), OutputError> {
        let (done, answer) = oneshot::channel();
        let request = Request { change, staged, read, is_last, done };
        self.changes.send(request).await.map_err(|_| OutputError::Closed)?;
        answer.await.unwrap_or(Err(OutputError::Closed))
    }

    /// Waits until everything that was sent so far is written.
    pub async fn flush(&self) {
        // Changes are written in the order they come in, and this one is nothing.
        let _ = self.send(Change::Amend(Vec::new()), Vec::new(), Vec::new()).await;
    }

    /// Waits until everything that was sent is written, and ends the task: nothing more can be sent.
    pub async fn close(&self) {
        let task = self.shared.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(task) = task else { return };
        let _ = self.send_as(Change::Amend(Vec::new()), Vec::new(), Vec::new(), true).await;
        let _ = task.await;
    }
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn published(&self) -> MutexGuard<'_, Vec<PublishedFile>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Task {
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Request>,
    /// A publication broke off, and its records are still pending.
    is_unsettled: bool,
}

impl Task {
    async fn run(mut self) {
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                waiting.extend(self.requests.recv().await);
            }
            while let Ok(request) = self.requests.try_recv() {
                waiting.push_back(request);
            }
            let Some(first) = waiting.pop_front() else { break };
            let is_last = first.is_last;
            let together = self.together(first, &mut waiting);
            self.write(together).await;
            if is_last {
                break;
            }
        }
        if self.shared.store.is_remote()
            && !self.is_unsettled
            && let Err(error) = write_step(&self.shared.store, &tidy(), &mut Vec::new()).await
        {
            tracing::warn!(error = %crate::notice::error_chain(&error), "`pending.json` is left; the next run settles it");
        }
    }

    /// Publications that wait behind another one are written with it where each write costs a request.
    fn together(&self, first: Request, waiting: &mut VecDeque<Request>) -> Vec<Request> {
        let is_publication = |request: &Request| matches!(request.change, Change::Publish(_));
        let mut together = vec![first];
        if self.shared.store.is_remote() && together.iter().all(is_publication) {
            while waiting.front().is_some_and(is_publication) {
                together.extend(waiting.pop_front());
            }
        }
        together
    }

    async fn write(&mut self, requests: Vec<Request>) {
        let (mut changes, mut staged, mut read, mut done) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for request in requests {
            changes.push(request.change);
            staged.extend(request.staged);
            read.extend(request.read);
            done.push(request.done);
        }
        let result = self.change(merged(changes), staged).await;
        if result.is_ok() {
            self.shared.published().extend(read);
        }
        for done in done {
            // Whoever sent it may have been cancelled; it is done all the same.
            let _ = done.send(result.clone());
        }
    }

    async fn change(&mut self, change: Change, staged: Vec<Staged>) -> Result<(), OutputError> {
        let store = &self.shared.store;
        if self.is_unsettled {
            // Writing other records over them would leave live files that the ledger does not know.
            let content = store.get(&key(PENDING_FILE)).await?;
            let files = LedgerFiles::new(content.map(|content| (PENDING_FILE, content)));
            let ledger = self.shared.ledger().clone();
            let settled = settlement(store, &ledger, &files.pending()?, files.get(PENDING_FILE).is_some()).await?;
            carry_out(store, &settled, Vec::new()).await?;
            self.shared.ledger().apply(settled);
            self.is_unsettled = false;
        }
        let is_publication = matches!(change, Change::Publish(_));
        let prepared = self.shared.ledger().prepare(change);
        self.is_unsettled = is_publication;
        carry_out(store, &prepared, staged).await?;
        if is_publication && !store.is_remote() {
            write_step(store, &tidy(), &mut Vec::new()).await?;
        }
        self.is_unsettled = false;
        self.shared.ledger().apply(prepared);
        Ok(())
    }
}

/// One change instead of several publications.
fn merged(changes: Vec<Change>) -> Change {
    let mut changes = changes.into_iter();
    let first = changes.next().unwrap_or_else(|| Change::Amend(Vec::new()));
    changes.fold(first, |all, change| match (all, change) {
        (Change::Publish(mut all), Change::Publish(more)) => {
            all.extend(more);
            Change::Publish(all)
        }
        (_, change) => change,
    })
}

/// Carries out writes, step by step.
pub async fn carry_out(store: &Store, prepared: &Prepared, staged: Vec<Staged>) -> Result<(), StoreError> {
    let mut staged: Vec<Option<Staged>> = staged.into_iter().map(Some).collect();
    for step in &prepared.steps {
        write_step(store, step, &mut staged).await?;
    }
    Ok(())
}

/// The writes of one step, some at once.
async fn write_step(store: &Store, step: &[Write], staged: &mut [Option<Staged>]) -> Result<(), StoreError> {
    let mut writes = Vec::new();
    for write in step {
        let file = match write {
            Write::Publish(_, position) => staged.get_mut(*position).and_then(Option::take),
            Write::Put(..) | Write::Remove(_) => None,
        };
        writes.push(write_one(store, write, file));
    }
    // Each runs to its end, also where another one fails: what goes on behind our back could not be settled.
    let results: Vec<Result<(), StoreError>> = stream::iter(writes).buffer_unordered(CONCURRENT_WRITES).collect().await;
    results.into_iter().collect()
}

async fn write_one(store: &Store, write: &Write, staged: Option<Staged>) -> Result<(), StoreError> {
    match write {
        Write::Put(name, content) => store.put(&key(name), content.clone()).await,
        Write::Publish(name, _) => store.publish(staged.expect("a file was staged for every record"), &key(name)).await,
        Write::Remove(name) => store.remove(&key(name)).await,
    }
}
