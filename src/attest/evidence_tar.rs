//! `evidence.tar`: the raw evidence in one file.
//!
//! A plain POSIX ustar archive (IEEE Std 1003.1, pax, "ustar Interchange Format") of regular files, sorted by name, with
//! mode 0644, owner 0, time 0 and nothing after the two closing blocks: the same items give the same bytes. The reader
//! accepts exactly what the writer makes. So it has nothing to say about links, devices, `..`, long-name records or
//! entries that are there twice: each of them is a header that the writer would not have written.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;

use super::statement::{EvidenceItem, Inline};
use super::{Digest, Hasher};

/// Items of at most that size are also put into the statement.
pub const MAX_INLINE_BYTES: u64 = 256 << 10;
/// Items in a container.
pub const MAX_ITEMS: usize = 4096;
/// One item: what the 11 octal digits of a header hold.
pub const MAX_ITEM_BYTES: u64 = (8 << 30) - 1;
/// A whole container.
pub const MAX_TOTAL_BYTES: u64 = 64 << 30;
/// Longest name of an item: what fits a header without its prefix field.
pub const MAX_ID_BYTES: usize = 100;

const BLOCK: usize = 512;
/// Small enough to stay in the second-level cache, where it is hashed twice.
const CHUNK_BYTES: usize = 256 << 10;
/// The least that is read at a time.
const SMALL_CHUNK_BYTES: usize = 8 << 10;
/// From that size on, a second thread for the container's digest pays.
const THREADED_FROM_BYTES: u64 = 4 << 20;
/// Chunks under way between the two threads: enough that neither waits for the other while the machine is busy.
const CHUNKS: usize = 16;

/// Why a container could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The container could not be read or written.
    #[error("cannot {verb} evidence.tar")]
    Io {
        /// `read`, `write` or `copy from`.
        verb: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// An item's file could not be read.
    #[error("cannot read the evidence item {id:?} from {path:?}")]
    Item {
        /// The item.
        id: String,
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An item's file changed while it was read.
    #[error("the evidence item {0:?} changed its size while it was read")]
    Changed(String),
    /// A name that could mean different things to different readers.
    #[error("{0:?} is not a name of an evidence item")]
    Id(String),
    /// A name twice, or not in order.
    #[error("the item {0:?} is there twice or out of order")]
    Order(String),
    /// A header that the writer would not have written: a link, device, folder, long name, another owner, mode or time.
    #[error("the header at byte {at} is not one of a plain evidence item")]
    Header {
        /// Offset in the container.
        at: u64,
    },
    /// Something between or after the items.
    #[error("there are unexpected bytes at byte {at}")]
    Excess {
        /// Offset in the container.
        at: u64,
    },
    /// The container ends in the middle.
    #[error("is cut off at byte {at}")]
    Truncated {
        /// Offset in the container.
        at: u64,
    },
    /// Over a cap.
    #[error("holds more than {MAX_ITEMS} items or {MAX_TOTAL_BYTES} bytes, or an item of more than {MAX_ITEM_BYTES}")]
    TooLarge,
}

/// An item to be written.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its path in the container: letters, digits, `.`, `_`, `-`, with `/` between.
    pub id: String,
    /// What it is (RFC 6838).
    pub media_type: String,
    /// Its bytes.
    pub content: Content,
}

/// Where the bytes of an item are.
#[derive(Debug, Clone)]
pub enum Content {
    /// Here.
    Bytes(Vec<u8>),
    /// In a regular file, which is not read into memory.
    File(PathBuf),
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The items, sorted by id, with their digests.
    pub items: Vec<EvidenceItem>,
    /// Digest of the whole container.
    pub sha256: Digest,
    /// Its size.
    pub bytes: u64,
}

/// Writes a container in one pass over the items.
pub fn write(mut items: Vec<Item>, output: impl Write) -> Result<Written, TarError> {
    items.sort_by(|a, b| a.id.cmp(&b.id));
    if items.len() > MAX_ITEMS {
        return Err(TarError::TooLarge);
    }
    let mut output = HashingWriter { output, hasher: Hasher::new(), bytes: 0 };
    let mut written: Vec<EvidenceItem> = Vec::with_capacity(items.len());
    for item in items {
        if written.last().is_some_and(|last| last.id == item.id) {
            return Err(TarError::Order(item.id));
        }
        written.push(write_item(item, &mut output)?);
    }
    output.put(&[0; 2 * BLOCK])?;
    output.output.flush().map_err(|source| TarError::Io { verb: "write", source })?;
    Ok(Written { items: written, sha256: output.hasher.finish(), bytes: output.bytes })
}

fn write_item(item: Item, output: &mut HashingWriter<impl Write>) -> Result<EvidenceItem, TarError> {
    let Item { id, media_type, content } = item;
    if !is_id(&id) {
        return Err(TarError::Id(id));
    }
    let (bytes, sha256, inline) = match content {
        Content::Bytes(content) => {
            let bytes = content.len() as u64;
            output.put(header(&id, bytes)?.as_bytes())?;
            output.put(&content)?;
            (bytes, Digest::of(&content), (bytes <= MAX_INLINE_BYTES).then_some(content))
        }
        Content::File(path) => {
            let failed = |source| TarError::Item { id: id.clone(), path: path.clone(), source };
            let mut file = File::open(&path).map_err(failed)?;
            let metadata = file.metadata().map_err(failed)?;
            if !metadata.is_file() {
                return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
            }
            let bytes = metadata.len();
            output.put(header(&id, bytes)?.as_bytes())?;
            let (mut hasher, mut left) = (Hasher::new(), bytes);
            let mut inline = (bytes <= MAX_INLINE_BYTES).then(Vec::new);
            let mut chunk = vec![0; CHUNK_BYTES];
            loop {
                let length = fill(&mut file, &mut chunk).map_err(failed)?;
                if length == 0 {
                    break;
                }
                left = left.checked_sub(length as u64).ok_or_else(|| TarError::Changed(id.clone()))?;
                hasher.update(&chunk[..length]);
                output.put(&chunk[..length])?;
                if let Some(inline) = &mut inline {
                    inline.extend_from_slice(&chunk[..length]);
                }
            }
            if left > 0 {
                return Err(TarError::Changed(id));
            }
            (bytes, hasher.finish(), inline)
        }
    };
    output.put(&[0; BLOCK][..padding(bytes)])?;
    if output.bytes > MAX_TOTAL_BYTES {
        return Err(TarError::TooLarge);
    }
    Ok(EvidenceItem { id, media_type, sha256, bytes, inline: inline.map(Inline) })
}

struct HashingWriter<W> {
    output: W,
    hasher: Hasher,
    bytes: u64,
}

impl<W: Write> HashingWriter<W> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), TarError> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.output.write_all(bytes).map_err(|source| TarError::Io { verb: "write", source })
    }
}

/// One item as it was found in a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its name.
    pub id: String,
    /// Its size.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Digest,
    /// Its bytes, when the caller asked for them.
    pub content: Option<Vec<u8>>,
}

/// A container as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// The items, sorted by id.
    pub items: Vec<Found>,
    /// Digest of the whole container.
    pub sha256: Digest,
    /// Its size.
    pub bytes: u64,
}

/// Reads a container in one pass, hashing each item and the whole. `keep` says of an item (id, bytes) whether its bytes
/// are to be kept in memory. `expected_bytes` only decides about buffers and whether a second thread is worth it.
pub fn read(input: impl Read, expected_bytes: u64, keep: impl FnMut(&str, u64) -> bool) -> Result<Container, TarError> {
    walk(input, expected_bytes, keep, |_, _| Ok(()))
}

/// Reads a container in one pass and copies the bytes of one item, whatever its size. What was copied is worth something
/// only once the caller has compared the digest.
pub fn extract(input: impl Read, id: &str, output: &mut impl Write) -> Result<Option<Found>, TarError> {
    let copy = |item: &str, bytes: &[u8]| match item == id {
        true => output.write_all(bytes).map_err(|source| TarError::Io { verb: "copy from", source }),
        false => Ok(()),
    };
    let container = walk(input, 0, |_, _| false, copy)?;
    Ok(container.items.into_iter().find(|found| found.id == id))
}

/// Reads a container and shows the bytes of each item as they come.
fn walk(
    input: impl Read,
    expected_bytes: u64,
    mut keep: impl FnMut(&str, u64) -> bool,
    mut show: impl FnMut(&str, &[u8]) -> Result<(), TarError>,
) -> Result<Container, TarError> {
    let mut stream = Stream::new(input, expected_bytes);
    let mut items: Vec<Found> = Vec::new();
    loop {
        let at = stream.position;
        let block = stream.block()?;
        if block == [0; BLOCK] {
            break;
        }
        let (id, bytes) = parse_header(&block).ok_or(TarError::Header { at })?;
        if items.last().is_some_and(|last| last.id >= id) {
            return Err(TarError::Order(id));
        }
        if items.len() == MAX_ITEMS || at + bytes > MAX_TOTAL_BYTES {
            return Err(TarError::TooLarge);
        }
        let mut content = keep(&id, bytes).then(|| Vec::with_capacity(bytes as usize));
        let (mut hasher, mut left) = (Hasher::new(), bytes);
        while left > 0 {
            let chunk = stream.available()?;
            let length = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            hasher.update(&chunk[..length]);
            show(&id, &chunk[..length])?;
            if let Some(content) = &mut content {
                content.extend_from_slice(&chunk[..length]);
            }
            stream.consume(length);
            left -= length as u64;
        }
        stream.zeros(padding(bytes))?;
        items.push(Found { id, bytes, sha256: hasher.finish(), content });
    }
    stream.zeros(BLOCK)?;
    let at = stream.position;
    if stream.next_chunk()? {
        return Err(TarError::Excess { at });
    }
    let bytes = stream.position;
    Ok(Container { items, sha256: stream.finish()?, bytes })
}

/// Whether a name is one path, spelled the one way that there is.
pub fn is_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
    id.len() <= MAX_ID_BYTES
        && id.bytes().all(allowed)
        && id.split('/').all(|name| !name.is_empty() && name != "." && name != "..")
}

/// The one header that an item of that name and size has.
fn header(id: &str, bytes: u64) -> Result<tar::Header, TarError> {
    if bytes > MAX_ITEM_BYTES {
        return Err(TarError::TooLarge);
    }
    let mut header = tar::Header::new_ustar();
    header.set_path(id).map_err(|_| TarError::Id(id.to_owned()))?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes);
    header.set_cksum();
    Ok(header)
}

/// Name and size, when the block is exactly what [`header`] makes of them.
fn parse_header(block: &[u8; BLOCK]) -> Option<(String, u64)> {
    let name = &block[..MAX_ID_BYTES];
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    let id = std::str::from_utf8(&name[..end]).ok().filter(|id| is_id(id))?;
    let digits = std::str::from_utf8(&block[124..135]).ok()?;
    let bytes = u64::from_str_radix(digits, 8).ok()?;
    (header(id, bytes).ok()?.as_bytes() == block).then(|| (id.to_owned(), bytes))
}

fn padding(bytes: u64) -> usize {
    (bytes.wrapping_neg() % BLOCK as u64) as usize
}

/// Reads until the buffer is full or the input ends.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match input.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// The container's bytes in chunks, each of which is also hashed into the digest of the whole.
struct Stream<R> {
    input: R,
    whole: Whole,
    chunk: Arc<Chunk>,
    at: usize,
    /// Bytes consumed so far.
    position: u64,
}

struct Chunk {
    buffer: Vec<u8>,
    length: usize,
}

impl Chunk {
    fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { buffer: vec![0; bytes], length: 0 })
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

/// Who hashes the whole.
enum Whole {
    Here(Hasher),
    Thread { work: SyncSender<Arc<Chunk>>, done: Receiver<Arc<Chunk>>, made: usize, thread: JoinHandle<Digest> },
}

impl<R: Read> Stream<R> {
    fn new(input: R, expected_bytes: u64) -> Self {
        let (whole, chunk_bytes) = if expected_bytes >= THREADED_FROM_BYTES {
            (Whole::spawn(), CHUNK_BYTES)
        } else {
            // Thousands of small reports in a row should not spend their time on clearing buffers.
            (Whole::Here(Hasher::new()), (expected_bytes as usize).clamp(SMALL_CHUNK_BYTES, CHUNK_BYTES))
        };
        Self { input, whole, chunk: Chunk::new(chunk_bytes), at: 0, position: 0 }
    }

    /// At least one byte, or `Truncated`.
    fn available(&mut self) -> Result<&[u8], TarError> {
        if self.at == self.chunk.length && !self.next_chunk()? {
            return Err(TarError::Truncated { at: self.position });
        }
        Ok(&self.chunk.bytes()[self.at..])
    }

    fn consume(&mut self, length: usize) {
        self.at += length;
        self.position += length as u64;
    }

    /// Makes sure that there is an unread byte. False at the end of the input.
    fn next_chunk(&mut self) -> Result<bool, TarError> {
        if self.at < self.chunk.length {
            return Ok(true);
        }
        self.whole.recycle(&mut self.chunk);
        self.at = 0;
        // `recycle` gives a chunk that nobody else holds.
        let chunk = Arc::get_mut(&mut self.chunk).ok_or_else(|| io::Error::other("a buffer is still in use"));
        let failed = |source| TarError::Io { verb: "read", source };
        let chunk = chunk.map_err(failed)?;
        chunk.length = fill(&mut self.input, &mut chunk.buffer).map_err(failed)?;
        self.whole.update(&self.chunk);
        Ok(self.chunk.length > 0)
    }

    fn block(&mut self) -> Result<[u8; BLOCK], TarError> {
        let (mut block, mut have) = ([0; BLOCK], 0);
        while have < BLOCK {
            let available = self.available()?;
            let length = available.len().min(BLOCK - have);
            block[have..have + length].copy_from_slice(&available[..length]);
            self.consume(length);
            have += length;
        }
        Ok(block)
    }

    fn zeros(&mut self, mut count: usize) -> Result<(), TarError> {
        while count > 0 {
            let available = self.available()?;
            let length = available.len().min(count).min(2 * BLOCK);
            let zeros = &[0; 2 * BLOCK][..length];
            if available[..length] != *zeros {
                let offset = available.iter().position(|&byte| byte != 0).unwrap_or(0);
                return Err(TarError::Excess { at: self.position + offset as u64 });
            }
            self.consume(length);
            count -= length;
        }
        Ok(())
    }

    fn finish(self) -> Result<Digest, TarError> {
        match self.whole {
            Whole::Here(hasher) => Ok(hasher.finish()),
            Whole::Thread { work, thread, .. } => {
                drop(work);
                thread
                    .join()
                    .map_err(|_| TarError::Io { verb: "read", source: io::Error::other("the hashing thread ended") })
            }
        }
    }
}

impl Whole {
    fn spawn() -> Self {
        let (work, incoming) = mpsc::sync_channel::<Arc<Chunk>>(CHUNKS);
        let (finished, done) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut hasher = Hasher::new();
            for chunk in incoming {
                hasher.update(chunk.bytes());
                // The reader may have given up.
                let _ = finished.send(chunk);
            }
            hasher.finish()
        });
        Self::Thread { work, done, made: 1, thread }
    }

    fn update(&mut self, chunk: &Arc<Chunk>) {
        match self {
            Self::Here(hasher) => hasher.update(chunk.bytes()),
            // It ends only after this sender is gone.
            Self::Thread { work, .. } => _ = work.send(Arc::clone(chunk)),
        }
    }

    /// Exchanges a chunk that was read for one that nobody else holds.
    fn recycle(&mut self, chunk: &mut Arc<Chunk>) {
        let Self::Thread { done, made, .. } = self else { return };
        if Arc::get_mut(chunk).is_some() {
            return;
        }
        if *made < CHUNKS {
            *made += 1;
            *chunk = Chunk::new(CHUNK_BYTES);
            return;
        }
        // Our own handle goes first, so that the one that comes back is the only one.
        let spent = std::mem::replace(chunk, Arc::new(Chunk { buffer: Vec::new(), length: 0 }));
        drop(spent);
        *chunk = done.recv().unwrap_or_else(|_| Chunk::new(CHUNK_BYTES));
    }
}
