//! LLVM's compilation cache, as Xcode's and swift-build's remote cache plugins speak it: `CASDBService` and `KeyValueDB`, both of version 1.
//! An *object* is bytes and references to other objects. Its id is what this server says it is: the SHA-256 of the object as it is stored, which is
//! as a blob like any other (`object`). A *value* is under a key that only the compiler understands; the last writer wins.
//!
//! A miss is an outcome here and no status: a client takes statuses for failures. A file that a client names is never read, nor is one written for
//! it: it may be on another machine, or somebody else's. Contents travel in messages, which the protocol leaves to the server when it reads; a client
//! that wants to store one by naming a file is refused.
//!
//! There are no instance names: all of it is where calls go that name none. Source: `llvm/lib/RemoteCachingService` in Swift's fork of LLVM.

mod cas;
mod keyvalue;
pub(crate) mod message;
pub(crate) mod object;

/// See above.
const NO_INSTANCE: &str = "";

pub(crate) use cas::{get, load, put, save};
pub(crate) use keyvalue::{get_value, put_value};
