//! A client of a history: what it does is drawn, what it is answered goes to the model.

use std::sync::Arc;

use bytes::Bytes;
use kura_store::key::RecordKey;
use kura_store::{Error, Store};
use parking_lot::Mutex;

use crate::calls::{begin, get, put};
use crate::model::{Model, NAMESPACES, key, namespace};
use crate::plan::{CLIENTS, KEYS, Part, Plan, Tale};

pub(crate) struct Client<'a> {
    pub(crate) number: usize,
    pub(crate) store: Store,
    pub(crate) model: Arc<Mutex<Model>>,
    pub(crate) tale: &'a Tale,
    pub(crate) plan: &'a Plan,
}

impl Client<'_> {
    pub(crate) async fn run(self, life: usize) {
        for operation in self.plan.operations_of(life, self.number) {
            if !self.tale.does(operation) {
                continue;
            }
            let mut random = self.tale.random(Part::Operation(operation));
            tracing::debug!(operation);
            match random.u8(0..20) {
                0..=8 => self.put(&mut random).await,
                9..=16 => self.get(&mut random).await,
                17 | 18 => self.delete(&mut random).await,
                _ => self.clean(&mut random).await,
            }
        }
    }

    fn own_key(&self, random: &mut fastrand::Rng) -> RecordKey {
        key(random.usize(0..NAMESPACES.len()), self.number * KEYS + random.usize(0..KEYS))
    }

    async fn put(&self, random: &mut fastrand::Rng) {
        let key = self.own_key(random);
        let largest = self.plan.largest;
        let length = match random.u8(0..3) {
            0 => random.usize(8..64),
            1 => random.usize(8..=largest.min(4000)),
            _ => random.usize(8..=largest),
        };
        let (write, body) = self.model.lock().begin_put(&key, length);
        let (known, piece) = (random.bool(), random.usize(100..9000));
        tracing::debug!(?key, write, length, "put");
        if random.u8(0..16) == 0 {
            self.model.lock().abandoned(&key, write);
            let _ = self.abandon(&key, &body, known, piece).await;
            return;
        }
        let answer = put(&self.store, &key, &body, known, piece).await;
        tracing::debug!(?key, write, ?answer, "put is over");
        self.model.lock().answered_put(&key, write, answer.is_ok());
        self.is_excused("a put", answer.err());
    }

    /// Goes away in the middle of an upload.
    async fn abandon(&self, key: &RecordKey, body: &Bytes, known: bool, piece: usize) -> Result<(), Error> {
        let mut upload = begin(&self.store, key, known.then_some(body.len())).await?;
        for piece in body.chunks(piece) {
            upload.write(body.slice_ref(piece)).await?;
        }
        Ok(())
    }

    async fn get(&self, random: &mut fastrand::Rng) {
        let key = key(random.usize(0..NAMESPACES.len()), random.usize(0..CLIENTS * KEYS));
        let least = self.model.lock().least(&key);
        match get(&self.store, &key).await {
            Ok(Some(bytes)) => self.model.lock().shown(&key, least, &bytes),
            Ok(None) => {}
            Err(error) => self.is_excused("a get", Some(error)),
        }
    }

    async fn delete(&self, random: &mut fastrand::Rng) {
        let key = self.own_key(random);
        let ends = self.model.lock().begin_end(|other| *other == key);
        let answer = self.store.delete(&key).await;
        tracing::debug!(?key, ?answer, "delete");
        match answer {
            Ok(_) => self.model.lock().ended(ends),
            Err(error) => self.is_excused("a delete", Some(error)),
        }
    }

    async fn clean(&self, random: &mut fastrand::Rng) {
        let at = random.usize(0..NAMESPACES.len());
        let ends = self.model.lock().begin_clean(NAMESPACES[at]);
        let answer = self.store.clean(&namespace(at)).await;
        tracing::debug!(namespace = NAMESPACES[at], ?answer, "clean");
        self.model.lock().end_clean(NAMESPACES[at]);
        match answer {
            Ok(()) => self.model.lock().ended(ends),
            Err(error) => self.is_excused("a clean", Some(error)),
        }
    }

    /// An answer that is no success must be one that a client can make something of; an error of the device needs one.
    fn is_excused(&self, what: &str, error: Option<Error>) {
        let Some(error) = error else { return };
        let trouble = self.plan.trouble.as_ref();
        let excused = match &error {
            Error::Busy { .. } | Error::Full(_) | Error::Evicted | Error::Closed => true,
            Error::TooLarge { .. } => self.plan.quotas,
            Error::Io { .. } | Error::ReadOnly => trouble.is_some(),
            Error::Corrupt { .. } => trouble.is_some_and(|trouble| trouble.flips || trouble.hits_reads()),
            _ => false,
        };
        assert!(excused, "{what}: {error}");
    }
}
