//! What a tenant may take of the server, as its clients are told of it over gRPC.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::num::NonZeroU32;
use std::pin::pin;

use bazel_remote_apis::build::bazel::remote::execution::v2::FindMissingBlobsRequest;
use futures_util::future::{Either, join_all, select};
use futures_util::stream::{self, StreamExt};
use kura_http::{Quota, Quotas};
use support::{Site, digest, messages, refused, upload};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

fn each(requests: u32, uploads: u32) -> Quotas {
    let each = Quota { requests: NonZeroU32::new(requests), uploads: NonZeroU32::new(uploads) };
    Quotas { each, ..Quotas::default() }
}

#[tokio::test]
async fn a_tenant_beyond_its_rate_is_told_when_to_come_back_and_health_is_told_all_the_same() {
    let (site, _store) = Site::serving().await;
    site.tenants.replace(each(1, 0));
    let cas = site.cas().await;
    let calls = (0..20).map(|_| {
        let mut cas = cas.clone();
        async move { cas.find_missing_blobs(FindMissingBlobsRequest::default()).await }
    });
    let statuses: Vec<_> = join_all(calls).await.into_iter().filter_map(Result::err).collect();
    assert!((1..=17).contains(&statuses.len()), "{statuses:?}");
    for status in statuses {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert!(status.message().contains("requests a second") && !status.details().is_empty(), "{status:?}");
    }
    let mut health = HealthClient::new(site.channel().await);
    for _ in 0..20 {
        health.check(HealthCheckRequest { service: String::new() }).await.unwrap();
    }
}

#[tokio::test]
async fn of_two_uploads_where_one_may_be_under_way_the_other_is_told_to_come_back() {
    let (site, _store) = Site::serving().await;
    site.tenants.replace(each(0, 1));
    let data = vec![7; 4096];
    let name = upload(&digest(&data));
    // They stand still after their first message.
    let begin = async || {
        let first = messages(&name, &data, 1024).into_iter().next();
        site.byte_stream().await.write(stream::iter(first).chain(stream::pending())).await
    };
    let (one, other) = (pin!(begin()), pin!(begin()));
    let (Either::Left((ended, _)) | Either::Right((ended, _))) = select(one, other).await;
    let status = refused(ended, Code::ResourceExhausted);
    assert!(status.message().contains("uploads") && !status.details().is_empty(), "{status:?}");
    assert_eq!(site.missing(&[digest(&data)]).await.len(), 1, "who asks does not wait");
}
