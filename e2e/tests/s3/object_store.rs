//! What the crate `object_store` does with a bucket.

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::{self, StreamExt};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Connector;
use hyper_util::rt::TokioExecutor;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions,
    UpdateVersion,
};

use kura_e2e::S3;

pub(crate) fn client(endpoint: &str) -> AmazonS3 {
    let builder = AmazonS3Builder::new().with_endpoint(endpoint).with_allow_http(true).with_region("us-east-1");
    let builder = builder.with_access_key_id(S3::ID).with_secret_access_key(S3::SECRET);
    builder.with_bucket_name("objects").with_http_connector(Plain).build().unwrap()
}

/// Its own client of HTTP brings a library of TLS that is needed nowhere else.
#[derive(Debug)]
struct Plain;

#[derive(Debug)]
struct Sender(Client<Connector, HttpRequestBody>);

impl HttpConnector for Plain {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Sender(Client::builder(TokioExecutor::new()).build_http())))
    }
}

#[async_trait::async_trait]
impl HttpService for Sender {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let failed = |error| HttpError::new(HttpErrorKind::Request, error);
        let (parts, body) = self.0.request(request).await.map_err(failed)?.into_parts();
        let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error));
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

fn path(key: &str) -> Path {
    Path::parse(key).unwrap()
}

async fn keys(store: &AmazonS3, prefix: Option<&str>) -> Vec<String> {
    let prefix = prefix.map(path);
    let listed: Vec<_> = store.list(prefix.as_ref()).try_collect().await.unwrap();
    listed.into_iter().map(|one| one.location.to_string()).collect()
}

pub(crate) async fn each_call(store: &AmazonS3) {
    let key = path("a/b");
    assert!(matches!(store.get(&key).await, Err(Error::NotFound { .. })));
    let attributes =
        Attributes::from_iter([(Attribute::ContentType, "text/plain"), (Attribute::CacheControl, "no-store")]);
    let options = PutOptions { attributes: attributes.clone(), ..PutOptions::default() };
    let stored = store.put_opts(&key, "hello world".into(), options).await.unwrap();
    let found = store.get(&key).await.unwrap();
    assert_eq!(found.attributes, attributes);
    assert_eq!(found.bytes().await.unwrap(), "hello world");
    let head = store.head(&key).await.unwrap();
    assert_eq!((head.size, &head.e_tag), (11, &stored.e_tag));
    assert_eq!(store.get_range(&key, 6..9).await.unwrap(), "wor");
    let ranges = store.get_ranges(&key, &[0..2, 9..11]).await.unwrap();
    assert_eq!(ranges, ["he", "ld"].map(Bytes::from));
    let unchanged = GetOptions { if_none_match: stored.e_tag.clone(), ..GetOptions::default() };
    assert!(matches!(store.get_opts(&key, unchanged).await, Err(Error::NotModified { .. })));

    let create = || PutOptions::from(PutMode::Create);
    assert!(matches!(store.put_opts(&key, "x".into(), create()).await, Err(Error::AlreadyExists { .. })));
    store.put_opts(&path("new"), "x".into(), create()).await.unwrap();
    let version = UpdateVersion::from(stored);
    let update = || PutOptions::from(PutMode::Update(version.clone()));
    store.put_opts(&key, "changed".into(), update()).await.unwrap();
    assert!(matches!(store.put_opts(&key, "again".into(), update()).await, Err(Error::Precondition { .. })));

    for number in 0..1050 {
        store.put(&path(&format!("many/{number:04}")), "x".into()).await.unwrap();
    }
    assert_eq!(keys(store, Some("many")).await.len(), 1050);
    let below = store.list_with_delimiter(None).await.unwrap();
    let names = |paths: Vec<Path>| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(below.common_prefixes), ["a", "many"]);
    assert_eq!(names(below.objects.into_iter().map(|one| one.location).collect()), ["new"]);
    let behind: Vec<_> = store.list_with_offset(Some(&path("many")), &path("many/1047")).try_collect().await.unwrap();
    assert_eq!(behind.len(), 2);

    let part = Bytes::from(vec![7; 5 << 20]);
    let mut upload = store.put_multipart_opts(&path("large"), PutMultipartOptions::default()).await.unwrap();
    for _ in 0..3 {
        upload.put_part(part.clone().into()).await.unwrap();
    }
    upload.complete().await.unwrap();
    assert_eq!(store.get(&path("large")).await.unwrap().bytes().await.unwrap(), [&part[..]; 3].concat());
    let mut upload = store.put_multipart(&path("given up")).await.unwrap();
    upload.put_part(part.into()).await.unwrap();
    upload.abort().await.unwrap();
    assert!(store.head(&path("given up")).await.is_err());

    store.delete(&key).await.unwrap();
    let doomed = stream::iter(keys(store, Some("many")).await).map(|key| Ok(path(&key))).boxed();
    assert_eq!(store.delete_stream(doomed).try_collect::<Vec<_>>().await.unwrap().len(), 1050);
    assert_eq!(keys(store, None).await, ["large", "new"]);
    assert!(store.copy(&path("new"), &path("copy")).await.is_err(), "copies are left out");
}

pub(crate) async fn store(store: &AmazonS3) {
    for number in 0..20_u8 {
        store.put(&path(&format!("lives/{number:02}")), vec![number; 100_000].into()).await.unwrap();
    }
}

pub(crate) async fn find(store: &AmazonS3) {
    assert_eq!(keys(store, Some("lives")).await.len(), 20);
    for number in 0..20_u8 {
        let found = store.get(&path(&format!("lives/{number:02}"))).await.unwrap();
        assert!(found.bytes().await.unwrap() == vec![number; 100_000]);
    }
}
