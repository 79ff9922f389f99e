//! Messages of our own for what the generated ones would copy: the same on the wire, with `Bytes` that are slices of what came in.

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bytes::Bytes;

/// `BatchUpdateBlobsRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BatchUpdateBlobsRequest {
    #[prost(string, tag = "1")]
    pub(crate) instance_name: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) requests: Vec<UpdateBlob>,
    #[prost(int32, tag = "5")]
    pub(crate) digest_function: i32,
}

/// `BatchUpdateBlobsRequest.Request`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UpdateBlob {
    #[prost(message, optional, tag = "1")]
    pub(crate) digest: Option<proto::Digest>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) data: Bytes,
    #[prost(int32, tag = "3")]
    pub(crate) compressor: i32,
}

/// `BatchReadBlobsResponse.Response`, one of the response's field 1.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReadBlob {
    #[prost(message, optional, tag = "1")]
    pub(crate) digest: Option<proto::Digest>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) data: Bytes,
    #[prost(message, optional, tag = "3")]
    pub(crate) status: Option<bazel_remote_apis::google::rpc::Status>,
    #[prost(int32, tag = "4")]
    pub(crate) compressor: i32,
}

/// `BatchReadBlobsResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BatchReadBlobsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) responses: Vec<ReadBlob>,
}

/// `UpdateActionResultRequest`, whose result stays as it came.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UpdateActionResultRequest {
    #[prost(string, tag = "1")]
    pub(crate) instance_name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) action_digest: Option<proto::Digest>,
    /// In pieces, where it stands more than once: one after another they are the message.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub(crate) action_result: Vec<Bytes>,
    #[prost(int32, tag = "5")]
    pub(crate) digest_function: i32,
}

impl UpdateActionResultRequest {
    /// The result, if there is one.
    pub(crate) fn result(&self) -> Option<Bytes> {
        match &self.action_result[..] {
            [] => None,
            [whole] => Some(whole.clone()),
            pieces => Some(pieces.concat().into()),
        }
    }
}

/// What of an `ActionResult` is standard output and error.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Streams {
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) stdout_raw: Bytes,
    #[prost(message, optional, tag = "6")]
    pub(crate) stdout_digest: Option<proto::Digest>,
    #[prost(bytes = "bytes", tag = "7")]
    pub(crate) stderr_raw: Bytes,
    #[prost(message, optional, tag = "8")]
    pub(crate) stderr_digest: Option<proto::Digest>,
}

/// What of an `ActionResult` may carry contents.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Inlined {
    #[prost(message, repeated, tag = "2")]
    pub(crate) output_files: Vec<InlinedFile>,
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) stdout_raw: Bytes,
    #[prost(message, optional, tag = "6")]
    pub(crate) stdout_digest: Option<proto::Digest>,
    #[prost(bytes = "bytes", tag = "7")]
    pub(crate) stderr_raw: Bytes,
    #[prost(message, optional, tag = "8")]
    pub(crate) stderr_digest: Option<proto::Digest>,
}

/// What of an `OutputFile` may carry contents.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct InlinedFile {
    #[prost(message, optional, tag = "2")]
    pub(crate) digest: Option<proto::Digest>,
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) contents: Bytes,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;
    use proto::{batch_read_blobs_response, batch_update_blobs_request};

    use super::*;
    use crate::fuzz::message::{result as same_result, same, update as same_update};

    #[test]
    fn a_result_in_pieces_is_one_result() {
        let pieces = [&[0x1a, 2, 0x20, 1][..], &[0x1a, 3, 0x2a, 1, b'x']].concat();
        let ours = UpdateActionResultRequest::decode(&*pieces).unwrap().result().unwrap();
        let theirs = proto::UpdateActionResultRequest::decode(&*pieces).unwrap().action_result.unwrap();
        assert_eq!(proto::ActionResult::decode(ours), Ok(theirs));
        assert_eq!(UpdateActionResultRequest::decode(&[][..]).unwrap().result(), None);
    }

    prop_compose! {
        fn digest()(hash in "[0-9a-f]{0,64}", size_bytes in any::<i64>()) -> proto::Digest {
            proto::Digest { hash, size_bytes }
        }
    }

    prop_compose! {
        fn update()(digest in prop::option::of(digest()), data: Vec<u8>, compressor in 0..4) -> batch_update_blobs_request::Request {
            batch_update_blobs_request::Request { digest, data, compressor }
        }
    }

    prop_compose! {
        fn read()(
            digest in prop::option::of(digest()), data: Vec<u8>, compressor in 0..4, code in prop::option::of(0..17), message: String,
        ) -> batch_read_blobs_response::Response {
            let status = code.map(|code| bazel_remote_apis::google::rpc::Status { code, message, details: Vec::new() });
            batch_read_blobs_response::Response { digest, data, compressor, status }
        }
    }

    prop_compose! {
        fn file()(path: String, digest in prop::option::of(digest()), contents: Vec<u8>) -> proto::OutputFile {
            proto::OutputFile { path, digest, contents, ..Default::default() }
        }
    }

    prop_compose! {
        fn result()(
            output_files in prop::collection::vec(file(), 0..3), stdout_raw: Vec<u8>, stdout_digest in prop::option::of(digest()),
            stderr_raw: Vec<u8>, stderr_digest in prop::option::of(digest()), exit_code: i32,
        ) -> proto::ActionResult {
            proto::ActionResult {
                output_files, stdout_raw, stdout_digest, stderr_raw, stderr_digest, exit_code, ..Default::default()
            }
        }
    }

    proptest! {
        #[test]
        fn batches_mean_what_the_generated_types_mean(
            instance_name: String, digest_function in 0..10, requests in prop::collection::vec(update(), 0..4),
            responses in prop::collection::vec(read(), 0..4),
        ) {
            let request = proto::BatchUpdateBlobsRequest { instance_name, requests, digest_function };
            same::<BatchUpdateBlobsRequest, proto::BatchUpdateBlobsRequest>(&request.encode_to_vec());
            let response = proto::BatchReadBlobsResponse { responses };
            same::<BatchReadBlobsResponse, proto::BatchReadBlobsResponse>(&response.encode_to_vec());
        }

        #[test]
        fn action_results_mean_what_the_generated_type_means(instance_name: String, action_digest in prop::option::of(digest()), result in result()) {
            same_result(&result.encode_to_vec());
            let request = proto::UpdateActionResultRequest {
                instance_name, action_digest, action_result: Some(result.clone()), ..Default::default()
            };
            same_update(&request.encode_to_vec());
            let ours = UpdateActionResultRequest::decode(&*request.encode_to_vec()).unwrap();
            prop_assert_eq!(ours.result(), Some(result.encode_to_vec().into()), "as it came");
        }

        #[test]
        fn any_bytes_are_read_alike_or_refused_alike(bytes: Vec<u8>) {
            same::<BatchUpdateBlobsRequest, proto::BatchUpdateBlobsRequest>(&bytes);
            same::<BatchReadBlobsResponse, proto::BatchReadBlobsResponse>(&bytes);
        }
    }
}
