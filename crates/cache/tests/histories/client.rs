//! One client: the only one of its tenant, so that it knows what each of its keys may show. Two namespaces, and one upload in parts at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kura_cache::{
    ArtifactKey, Attributes, Cache, Chunking, Digest, Error, Kind, Namespace, PartLimits, PartNumber, Scope, Stored,
    Tenant, UploadId,
};
use kura_store::Store;

use crate::content::{self, BLOBS, OTHERS};
use crate::model::Key;
use crate::support::{Life, SHA256, frame, send};

const LIMITS: PartLimits = PartLimits { part: 1 << 20, whole: 4 << 20 };

const NAMESPACES: usize = 2;

/// Operations of one life, unless it is killed before.
const OPERATIONS: usize = 60;

/// What a key is, in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Blob(usize),
    Spliced(usize),
    Action(usize),
    Module(usize),
}

type Place = (usize, What);

/// An upload in parts that was begun.
struct Session {
    place: Place,
    write: u64,
    id: UploadId,
    /// The parts that were acknowledged.
    stored: Vec<usize>,
    /// It was to be completed, and may be: what it made may have been deleted since, with its parts.
    may_be_over: bool,
}

pub(crate) struct Client {
    number: usize,
    random: fastrand::Rng,
    keys: BTreeMap<Place, Key>,
    writes: u64,
    session: Option<Session>,
    /// Something was evicted, or could not be read: nothing has to be there any more.
    may_miss: bool,
    /// Something could not be read: a later start may be able to.
    may_return: bool,
}

impl Client {
    pub(crate) fn new(number: usize, random: fastrand::Rng) -> Client {
        Client { number, random, keys: BTreeMap::new(), writes: 0, session: None, may_miss: false, may_return: false }
    }

    fn scope(&self, namespace: usize) -> Scope {
        let namespace = Namespace::parse(format!("n{namespace}")).unwrap();
        Scope { tenant: Tenant::parse(format!("t{}", self.number)).unwrap(), namespace, overlay: None }
    }

    fn artifact(&self, (namespace, what): Place) -> ArtifactKey {
        let scope = self.scope(namespace);
        match what {
            What::Blob(at) => ArtifactKey::blob(&scope, &content::digest(at)),
            What::Spliced(at) => ArtifactKey::blob(&scope, &Digest::of(SHA256, &content::spliced(at))),
            What::Action(at) => ArtifactKey::action(&scope, &Digest::of(SHA256, &at.to_le_bytes())),
            What::Module(at) => ArtifactKey::keyed(&scope, Kind::Module, format!("hash/{at}").as_bytes()),
        }
        .unwrap()
    }

    fn key(&mut self, place: Place) -> &mut Key {
        self.keys.entry(place).or_default()
    }

    pub(crate) async fn work(&mut self, life: &Life) {
        for _ in 0..OPERATIONS {
            life.wait(Duration::from_millis(self.random.u64(0..5))).await;
            let namespace = self.random.usize(0..NAMESPACES);
            let other = self.random.usize(0..OTHERS);
            let any = match self.random.u8(0..6) {
                0 => What::Spliced(other),
                1 => What::Action(other),
                2 => What::Module(other),
                _ => What::Blob(self.random.usize(0..BLOBS)),
            };
            match self.random.u8(0..60) {
                0 => self.clean(life, namespace).await,
                1..=4 => self.delete(life, (namespace, any)).await,
                5..=20 => self.look(life, (namespace, any)).await,
                21..=26 => self.upload_parts(life, namespace, other).await,
                27..=32 => self.splice(life, namespace, other).await,
                33..=40 => self.store_result(life, namespace, other).await,
                _ => self.store_blob(life, namespace).await,
            }
            self.excuse(&life.store);
        }
    }

    /// Sees whether something had to go.
    pub(crate) fn excuse(&mut self, store: &Store) {
        let stats = store.stats();
        self.may_return |= stats.damaged > 0;
        self.may_miss |= stats.shed_records > 0 || self.may_return;
    }

    /// Counts what came of a write.
    fn settle(&mut self, place: Place, value: Option<u64>, outcome: &Result<(), Error>) {
        tracing::debug!(client = self.number, ?place, ?value, ?outcome, "is over");
        match outcome {
            Ok(()) => self.key(place).done(value),
            Err(_) => self.key(place).failed(value),
        }
    }

    async fn store_blob(&mut self, life: &Life, namespace: usize) {
        let at = self.random.usize(0..BLOBS);
        let place = (namespace, What::Blob(at));
        let (key, body) = (self.artifact(place), content::blob(at));
        self.key(place).begin(Some(0));
        let stored = match self.random.u8(0..3) {
            0 => put(&life.cache, &key, &body, None).await,
            1 => put(&life.cache, &key, &body, Some(body.len() as u64)).await,
            _ => match life.cache.put_zstd(&key, Attributes::default(), None).await {
                Ok(upload) => send(upload, &frame(&body)).await,
                Err(error) => Err(error),
            },
        };
        self.settle(place, Some(0), &stored.map(drop));
    }

    async fn store_result(&mut self, life: &Life, namespace: usize, at: usize) {
        self.writes += 1;
        let (place, write) = ((namespace, What::Action(at)), self.writes);
        let (key, result) = (self.artifact(place), content::result(write));
        self.key(place).begin(Some(write));
        let stored = put(&life.cache, &key, &result, Some(result.len() as u64)).await;
        self.settle(place, Some(write), &stored.map(drop));
    }

    async fn splice(&mut self, life: &Life, namespace: usize, at: usize) {
        let place = (namespace, What::Spliced(at));
        let blob = Digest::of(SHA256, &content::spliced(at));
        let chunks: Vec<Digest> = content::chunks(at).into_iter().map(content::digest).collect();
        self.key(place).begin(Some(0));
        let stored = life.cache.splice(&self.scope(namespace), &blob, &chunks, Chunking::Unknown).await;
        self.settle(place, Some(0), &stored.map(drop));
    }

    async fn delete(&mut self, life: &Life, place: Place) {
        let key = self.artifact(place);
        self.key(place).begin(None);
        let deleted = life.cache.delete(&key).await;
        self.settle(place, None, &deleted.map(drop));
    }

    async fn clean(&mut self, life: &Life, namespace: usize) {
        let places: Vec<Place> = self.keys.keys().filter(|place| place.0 == namespace).copied().collect();
        places.iter().for_each(|place| self.key(*place).begin(None));
        // What was uploaded in parts may be gone, or not.
        self.session.take_if(|session| session.place.0 == namespace);
        let cleaned = life.cache.clean(&self.scope(namespace)).await;
        tracing::debug!(client = self.number, namespace, ?cleaned, "cleaned");
        for place in places {
            match &cleaned {
                Ok(()) => self.key(place).done(None),
                Err(_) => self.key(place).failed(None),
            }
        }
    }

    /// The next step of the upload that was begun, or of a new one.
    async fn upload_parts(&mut self, life: &Life, namespace: usize, at: usize) {
        let Some(mut session) = self.session.take() else {
            self.writes += 1;
            let (place, write) = ((namespace, What::Module(at)), self.writes);
            let started = life.cache.start_multipart(&self.artifact(place), Attributes::default()).await;
            self.session = started.ok().map(|begun| Session {
                place,
                write,
                id: *begun.id(),
                stored: Vec::new(),
                may_be_over: false,
            });
            return;
        };
        let found = life.cache.multipart(&self.scope(session.place.0), &session.id).await;
        let Ok(Some(upload)) = found else {
            let missing = matches!(found, Ok(None));
            self.excuse(&life.store);
            assert!(!missing || self.may_miss, "an upload that was begun is not known any more");
            self.session = (!missing).then_some(session);
            return;
        };
        let parts = content::parts(session.write);
        let lacking: Vec<usize> = (0..parts.len()).filter(|part| !session.stored.contains(part)).collect();
        let Some(part) = self.random.choice(&lacking).copied() else {
            return self.complete(life, session, upload).await;
        };
        // What is under way when the machine is killed is not lost: only this part is.
        let (id, number) = (session.id, PartNumber::new(part as u64 + 1).unwrap());
        self.session = Some(Session { stored: session.stored.clone(), ..session });
        let body = &parts[part];
        let stored = async {
            let mut upload = upload.put_part(number, Some(body.len() as u64), LIMITS).await?;
            upload.write(Bytes::copy_from_slice(body)).await?;
            upload.commit().await
        };
        if stored.await.is_ok() {
            session = self.session.take().expect("it was put there");
            session.stored.push(part);
            assert!(session.id == id);
            self.session = Some(session);
        }
    }

    async fn complete(&mut self, life: &Life, session: Session, upload: kura_cache::Multipart) {
        let (place, write, many, may_be_over) =
            (session.place, session.write, session.stored.len(), session.may_be_over);
        self.session = Some(Session { may_be_over: true, ..session });
        self.key(place).begin(Some(write));
        let Ok(parts) = upload.parts().await else { return };
        let there = parts.len();
        let outcome = upload.complete(parts, None, LIMITS).await;
        if matches!(outcome, Err(Error::OtherParts | Error::UnknownUpload)) {
            self.excuse(&life.store);
            assert!(self.may_miss || may_be_over, "{there} parts of {many} are there");
        }
        if outcome.is_ok() {
            self.session = None;
        }
        // To complete again what was complete before a crash changes nothing: what it made may have been replaced or deleted since.
        if !outcome.as_ref().is_ok_and(|stored| stored.known) {
            self.settle(place, Some(write), &outcome.map(drop));
        }
    }

    pub(crate) async fn look_at_everything(&mut self, life: &Life) {
        self.excuse(&life.store);
        for place in self.keys.keys().copied().collect::<Vec<_>>() {
            self.look(life, place).await;
        }
    }

    /// Reads what is under a key, and holds it against what it may show.
    async fn look(&mut self, life: &Life, place: Place) {
        let key = self.artifact(place);
        let body = match life.cache.get(&key).await {
            Ok(Some(found)) => match found.body.collect().await {
                Ok(body) => Some(body),
                Err(_) => return,
            },
            Ok(None) => None,
            Err(_) => return,
        };
        self.excuse(&life.store);
        tracing::debug!(client = self.number, ?place, length = body.as_ref().map(Bytes::len), "shows");
        let Some(body) = body else {
            return self.is_missing(place);
        };
        let value = self.value_of(place, &body);
        assert!(self.key(place).may_show(Some(value)), "{place:?} shows {value} and not {:?}", self.keys[&place]);
        self.key(place).shown(Some(value));
        if let What::Action(_) = place.1 {
            self.named_is_there(life, place.0, value).await;
        }
    }

    /// Which write a body came from.
    fn value_of(&mut self, place: Place, body: &[u8]) -> u64 {
        match place.1 {
            What::Blob(at) => assert!(body == content::blob(at), "{place:?} has other bytes"),
            What::Spliced(at) => assert!(body == content::spliced(at), "{place:?} has other bytes"),
            What::Action(_) => {
                let write = content::write_of(body);
                assert!(body == content::result(write), "{place:?} has other bytes");
                return write;
            }
            What::Module(_) => {
                let found = self.key(place).values().find(|write| content::parts(*write).concat() == body);
                return found.unwrap_or_else(|| panic!("{place:?} has bytes that were not written"));
            }
        }
        0
    }

    fn is_missing(&mut self, place: Place) {
        let needed: Vec<usize> = match place.1 {
            What::Spliced(at) => content::chunks(at),
            What::Action(_) => self.key(place).values().flat_map(content::named).collect(),
            What::Blob(_) | What::Module(_) => Vec::new(),
        };
        let lacks_one = needed.into_iter().any(|at| self.key((place.0, What::Blob(at))).may_show(None));
        let (may_miss, may_return) = (self.may_miss, self.may_return);
        let key = self.key(place);
        assert!(lacks_one || may_miss || key.may_show(None), "{place:?} shows nothing and not {key:?}");
        // With what it names it comes back.
        let is_whole = matches!(place.1, What::Blob(_) | What::Module(_));
        if is_whole && !may_return && !key.may_have_ended() { key.shown(None) } else { key.may_be_gone() }
    }

    /// Whoever was shown a result finds what it names.
    async fn named_is_there(&mut self, life: &Life, namespace: usize, write: u64) {
        for at in content::named(write) {
            let place = (namespace, What::Blob(at));
            let key = self.artifact(place);
            let Ok(found) = life.cache.get(&key).await else { continue };
            let stats = life.store.stats();
            let excused = stats.lost_leases > 0 || stats.damaged > 0;
            assert!(found.is_some() || excused, "a result was shown, and {place:?} which it names is not there");
            if found.is_some() {
                assert!(self.key(place).may_show(Some(0)), "{place:?} was never stored");
                self.key(place).shown(Some(0));
            }
        }
    }
}

async fn put(cache: &Cache, key: &ArtifactKey, body: &[u8], length: Option<u64>) -> Result<Stored, Error> {
    send(cache.put(key, Attributes::default(), length).await?, body).await
}
