//! READ: what the store holds, in the form that its reader wants. Stored as received, so that a reader who takes zstd gets those bytes untouched.
//! What is short is decoded, or encoded, at once; the rest on its way out (`transcode`).

use std::sync::Arc;

use bytes::Bytes;
use kura_disk::Runtime;
use kura_store::types::Encoding;

use crate::artifact::{ArtifactKey, Meaning};
use crate::body::{Body, Content, Plain};
use crate::error::Error;
use crate::limits::WHOLE;
use crate::pool::Pool;
use crate::presence::Probe;
use crate::spliced::{Parts, Spliced};
use crate::transcode::{Decoded, Encoded};
use crate::zstd::{Decoder, Encoder};
use crate::{Artifact, Cache};

/// How the bytes of a body are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    Identity,
    /// As zstd frames.
    Zstd,
}

/// The form in which a blob is wanted. Other artifacts come as [`Form::Identity`] whatever is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Its content.
    Identity,
    /// As it is stored, so that nothing has to be computed.
    Stored,
    /// zstd frames that hold its content from this offset on: those that are stored, or else made on the way.
    Zstd {
        /// The first byte of the content that is wanted.
        from: u64,
    },
}

/// What decodes and encodes bodies.
pub(crate) struct Codecs {
    pub(crate) decoders: Pool<Decoder>,
    pub(crate) encoders: Pool<Encoder>,
}

impl Codecs {
    pub(crate) fn new(limit: u64, runtime: &Arc<dyn Runtime>) -> Codecs {
        Codecs { decoders: Pool::new(limit, Arc::clone(runtime)), encoders: Pool::new(limit, Arc::clone(runtime)) }
    }

    fn decode(&self, stored: kura_store::Body, length: u64) -> Plain {
        Plain::Decoded(Box::new(Decoded::new(stored, length, self.decoders.clone())))
    }

    /// A short body as zstd, if that is worth it: smaller by an eighth at least.
    pub(crate) async fn compress(&self, bytes: &Bytes) -> Option<Bytes> {
        // Nothing but an encoder that did not become free in time can go wrong, and then the body stays as it is.
        let frame = self.encode(Body::Whole(bytes.clone())).await.ok()?.collect().await.ok()?;
        (frame.len() <= bytes.len() - bytes.len() / 8).then_some(frame)
    }

    /// As one frame; what is encoded already stays as it is.
    async fn encode(&self, body: Body) -> Result<Body, Error> {
        match body.into_content() {
            Ok(content) => if_short_whole(Body::encoded(Encoded::new(content, self.encoders.clone()))).await,
            Err(encoded) => Ok(encoded),
        }
    }
}

/// Does at once what there is to do for a short body.
async fn if_short_whole(body: Body) -> Result<Body, Error> {
    match body {
        Body::Pieces(pieces) if pieces.remaining() <= WHOLE => Ok(Body::Whole(Body::Pieces(pieces).collect().await?)),
        body => Ok(body),
    }
}

impl Cache {
    /// As [`Cache::get`], in the form that is asked for.
    ///
    /// # Errors
    /// As [`Cache::get`].
    pub async fn get_as(&self, key: &ArtifactKey, form: Form) -> Result<Option<Artifact>, Error> {
        let found = match &key.meaning {
            Meaning::Blob(digest) => self.get_blob(key, digest, form).await?,
            Meaning::Action(action) => self.get_action(key, action).await?,
            Meaning::Keyed(_) => self.get_keyed(key).await?,
        };
        match &found {
            Some(artifact) => self.inner.counters.hit(key.kind(), artifact.length),
            None => self.inner.counters.miss(key.kind()),
        }
        Ok(found)
    }

    /// The stored artifact, whatever it means: its content, or what is stored where the form allows for that.
    pub(crate) async fn fetch(&self, key: &ArtifactKey, form: Form) -> Result<Option<Artifact>, Error> {
        let Some(found) = self.read(&key.scope, &key.record).await? else {
            return Ok(None);
        };
        let (length, version, attributes) = (found.logical_len, found.version, found.attributes.clone());
        let untouched = matches!(form, Form::Stored | Form::Zstd { from: 0 });
        let compression =
            if found.encoding == Encoding::Zstd && untouched { Compression::Zstd } else { Compression::Identity };
        // What is there as it is wanted is read most: the state of all else is not carried by every read.
        let body = match found.encoding {
            Encoding::Recipe => match Box::pin(self.spliced(key, found)).await? {
                Some(spliced) => Box::pin(if_short_whole(Content::Spliced(Box::new(spliced)).into())).await?,
                None => return Ok(None),
            },
            Encoding::Zstd if !untouched => {
                Box::pin(if_short_whole(self.inner.codecs.decode(found.body, length).into())).await?
            }
            Encoding::Identity | Encoding::Zstd => Plain::stored(found.body).into(),
        };
        Ok(Some(Artifact { length, version, attributes, compression, body }))
    }

    /// The content of what is stored, unless that is a recipe.
    pub(crate) fn content_of(&self, found: kura_store::Artifact) -> Option<Plain> {
        match found.encoding {
            Encoding::Identity => Some(Plain::stored(found.body)),
            Encoding::Zstd => Some(self.inner.codecs.decode(found.body, found.logical_len)),
            Encoding::Recipe => None,
        }
    }

    async fn spliced(&self, key: &ArtifactKey, found: kura_store::Artifact) -> Result<Option<Spliced>, Error> {
        let length = found.logical_len;
        let parts = if key.kind().is_keyed() {
            match self.read_assembly(&key.record, found).await? {
                Some(parts) if self.is_whole(&key.scope, &parts).await? => Some(Parts::Uploaded(parts)),
                _ => None,
            }
        } else {
            match self.read_recipe(key.record.clone(), found).await? {
                Some(recipe) => Probe::new(self, &key.scope).flat(&recipe).await?.map(Parts::Blobs),
                None => None,
            }
        };
        Ok(parts.map(|parts| Spliced::new(self.clone(), key.scope.clone(), parts, length)))
    }

    /// The artifact's content from `from` on as zstd, unless that is what it is.
    pub(crate) async fn in_zstd(&self, found: Artifact, from: u64) -> Result<Artifact, Error> {
        if found.compression == Compression::Zstd {
            return Ok(found);
        }
        let body = self.inner.codecs.encode(found.body.select(from..u64::MAX)).await?;
        Ok(Artifact { compression: Compression::Zstd, body, ..found })
    }
}
