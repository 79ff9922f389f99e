//! Lists that S3's clients send as XML, and where their own go on: parts of an upload, objects to delete, tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use http::{Method, Request};
use kura_cache::{Part, PartNumber, Version};
use s3s::dto::{CompleteMultipartUploadInput, CompleteMultipartUploadOutput, DeleteObjectsInput, DeleteObjectsOutput};
use s3s::{Body, S3, S3Request, S3Response, S3Result};

use crate::surface::s3::door::builder;
use crate::surface::s3::list::Token;
use crate::surface::s3::parts::chosen;

/// How many things the last list named.
struct Reader(Arc<AtomicUsize>);

#[async_trait::async_trait]
impl S3 for Reader {
    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.0.store(request.input.delete.objects.len(), Ordering::Relaxed);
        Ok(S3Response::new(DeleteObjectsOutput::default()))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let there: Vec<Part> = (1..10_u64)
            .map(|number| Part { number: PartNumber::new(number).unwrap(), size: number, version: Version(number) })
            .collect();
        let asked = request.input.multipart_upload.and_then(|asked| asked.parts).unwrap_or_default();
        self.0.store(asked.len(), Ordering::Relaxed);
        if let Ok(chosen) = chosen(&asked, &there) {
            assert!(chosen.is_sorted_by(|one, next| one.number < next.number) && chosen.len() == asked.len());
            assert!(chosen.iter().all(|part| there.contains(part)));
        }
        Ok(S3Response::new(CompleteMultipartUploadOutput::default()))
    }
}

pub(super) fn target(bytes: &[u8]) {
    let named = Arc::new(AtomicUsize::new(0));
    let service = builder(Reader(Arc::clone(&named))).build();
    for target in ["/bucket?delete", "/bucket/key?uploadId=0123"] {
        let request = Request::builder().method(Method::POST).uri(target).header("content-length", bytes.len());
        let request = request.body(Body::from(bytes.to_vec())).unwrap();
        let answer = service.call(request).now_or_never().expect("nothing is waited for").unwrap();
        assert!(answer.status().as_u16() < 500, "{answer:?}");
        assert!(named.load(Ordering::Relaxed) <= bytes.len() / 10, "each is named by an element");
    }
    if let Some(token) = str::from_utf8(bytes).ok().and_then(Token::decode) {
        assert_eq!(Token::decode(&token.encode()), Some(token));
    }
}
