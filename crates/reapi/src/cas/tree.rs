//! `GetTree`: a directory and all that it leads to, by breadth, each once, as they are stored. What is not there is left out.
//! A page's token is the number of directories before it: whoever comes back with it is led past those again, and sent the rest.
//! Bounds: directories of one tree, and what is read ahead of the client.

use std::collections::{HashSet, VecDeque};

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::join_all;
use futures_util::stream;
use kura_cache::wire::{Fields, Value};
use kura_cache::{Cache, Digest, Error, Form, Scope};
use kura_http::Class;
use prost::Message;
use tonic::Status;

use crate::call::Call;
use crate::grpc::{PREFIX, Pieces, Reply, prefix};
use crate::limits::{DIRECTORIES_AHEAD, MAX_DIRECTORIES, MAX_DIRECTORY, PAGE, PAGE_BYTES, TREE_MEMORY};
use crate::{blob, digest, status};

/// `GetTreeResponse.directories` as it stands in front of each: number 1, bytes.
const DIRECTORY: u8 = 1 << 3 | 2;

/// `Directory.directories` and `DirectoryNode.digest`.
const CHILDREN: u32 = 2;
const DIGEST: u32 = 2;

pub(crate) async fn get_tree(mut call: Call) -> Result<Reply, Status> {
    let request: proto::GetTreeRequest = call.message().await?;
    let scope = call.scope(&request.instance_name)?;
    let function = digest::function(request.digest_function)?;
    let root = digest::required(function, request.root_digest.as_ref(), "the root's digest")?;
    let page = usize::try_from(request.page_size).map_err(|_| Status::invalid_argument("the page size is negative"))?;
    let skipped = token(&request.page_token)?;
    let held = call
        .memory
        .hold_for(&scope.tenant, Class::Request, TREE_MEMORY)
        .ok_or_else(|| status::overload("too many trees are read"))?;
    let mut walk = Walk {
        cache: call.cache,
        scope,
        seen: HashSet::from([key(&root)]),
        waiting: VecDeque::from([root]),
        read: VecDeque::new(),
        passed: 0,
        page: if page == 0 { PAGE } else { page.min(PAGE) },
    };
    walk.read_ahead().await?;
    if walk.read.is_empty() {
        return Err(status::miss());
    }
    walk.skip(skipped).await?;
    let pages = stream::try_unfold(walk, |mut walk| async { Ok(walk.next_page().await?.map(|page| (page, walk))) });
    Ok(Reply::stream(pages).holding(held))
}

/// How many directories a token leads past.
fn token(token: &str) -> Result<usize, Status> {
    if token.is_empty() {
        return Ok(0);
    }
    let number = token.parse().ok().filter(|number| (1..MAX_DIRECTORIES).contains(number));
    number.ok_or_else(|| Status::invalid_argument("not a page token of this tree"))
}

fn key(digest: &Digest) -> Box<[u8]> {
    digest.hash().into()
}

/// A tree that is being walked through.
struct Walk {
    cache: Cache,
    scope: Scope,
    /// The hashes of all that was ever in `waiting`: what is shared is sent once, and a chain of sharing cannot grow without end.
    seen: HashSet<Box<[u8]>>,
    waiting: VecDeque<Digest>,
    /// Read, and not sent.
    read: VecDeque<Bytes>,
    /// Directories sent or skipped.
    passed: usize,
    page: usize,
}

impl Walk {
    /// Reads some of what is waiting, in order.
    async fn read_ahead(&mut self) -> Result<(), Status> {
        while self.read.is_empty() && !self.waiting.is_empty() {
            let next: Vec<Digest> = self.waiting.drain(..self.waiting.len().min(DIRECTORIES_AHEAD)).collect();
            let (cache, scope) = (&self.cache, &self.scope);
            let fetch = |digest| blob::fetch(cache, scope, digest, Form::Identity, MAX_DIRECTORY);
            let found = join_all(next.iter().map(fetch)).await;
            for (digest, found) in next.into_iter().zip(found) {
                match found {
                    Ok(Some((directory, _))) => self.take(digest, directory)?,
                    Ok(None) | Err(Error::Damaged(_)) => {}
                    Err(error) => return Err(status::of(&error)),
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, digest: Digest, directory: Bytes) -> Result<(), Status> {
        let malformed = || Status::invalid_argument(format!("the blob {digest} is no directory"));
        let mut fields = Fields::of(&directory);
        while let Some((number, value)) = fields.next().map_err(|_| malformed())? {
            if let (CHILDREN, Value::Bytes(node)) = (number, value) {
                let child = child(node).and_then(|child| proto::Digest::decode(child).ok()).ok_or_else(malformed)?;
                let child = digest::required(Some(digest.function()), Some(&child), "a directory's digest")?;
                if self.seen.insert(key(&child)) {
                    self.waiting.push_back(child);
                }
            }
        }
        if self.seen.len() > MAX_DIRECTORIES {
            return Err(Status::resource_exhausted(format!("a tree has at most {MAX_DIRECTORIES} directories here")));
        }
        self.read.push_back(directory);
        Ok(())
    }

    async fn skip(&mut self, directories: usize) -> Result<(), Status> {
        while self.passed < directories {
            if self.read.is_empty() {
                self.read_ahead().await?;
            }
            if self.read.pop_front().is_none() {
                return Ok(());
            }
            self.passed += 1;
        }
        Ok(())
    }

    /// The next response; nothing at the end.
    async fn next_page(&mut self) -> Result<Option<Pieces>, Status> {
        let mut framed = BytesMut::zeroed(PREFIX);
        let mut count = 0;
        while count < self.page {
            if self.read.is_empty() {
                self.read_ahead().await?;
            }
            let fits = |next: &Bytes| count == 0 || framed.len() + next.len() <= PAGE_BYTES;
            let Some(next) = self.read.pop_front_if(|next| fits(next)) else { break };
            framed.put_u8(DIRECTORY);
            // Growing is all that could fail, and it cannot.
            let _ = prost::encode_length_delimiter(next.len(), &mut framed);
            framed.put_slice(&next);
            count += 1;
        }
        if count == 0 {
            return Ok(None);
        }
        self.passed += count;
        if self.read.is_empty() {
            self.read_ahead().await?;
        }
        if !self.read.is_empty() {
            let token = proto::GetTreeResponse { next_page_token: self.passed.to_string(), ..Default::default() };
            let _ = token.encode(&mut framed);
        }
        let prefix = prefix(framed.len() - PREFIX);
        framed[..PREFIX].copy_from_slice(&prefix);
        Ok(Some([framed.freeze(), Bytes::new()]))
    }
}

/// The digest in a `DirectoryNode`.
fn child(node: &[u8]) -> Option<&[u8]> {
    let mut fields = Fields::of(node);
    let mut found = None;
    while let Some((number, value)) = fields.next().ok()? {
        if let (DIGEST, Value::Bytes(digest)) = (number, value) {
            found = Some(digest);
        }
    }
    found
}
