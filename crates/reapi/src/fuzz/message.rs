//! Messages of our own: they say what the generated ones say.

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use prost::Message;

use crate::message::{BatchReadBlobsResponse, BatchUpdateBlobsRequest, Inlined, Streams, UpdateActionResultRequest};

pub(super) fn target(bytes: &[u8]) {
    same::<BatchUpdateBlobsRequest, proto::BatchUpdateBlobsRequest>(bytes);
    same::<BatchReadBlobsResponse, proto::BatchReadBlobsResponse>(bytes);
    result(bytes);
    update(bytes);
}

/// Whether both read the same bytes, and mean the same by them.
pub(crate) fn same<Ours, Theirs>(bytes: &[u8])
where
    Ours: Message + Default,
    Theirs: Message + Default + PartialEq + std::fmt::Debug,
{
    let (ours, theirs) = (Ours::decode(bytes), Theirs::decode(bytes));
    assert_eq!(ours.is_ok(), theirs.is_ok());
    if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
        // Compared as messages: what one leaves out, the other may not.
        assert_eq!(Theirs::decode(&*ours.encode_to_vec()), Ok(theirs));
    }
}

/// The parts of an action result that are read by themselves.
pub(crate) fn result(bytes: &[u8]) {
    let Ok(theirs) = proto::ActionResult::decode(bytes) else { return };
    let (streams, inlined) = (Streams::decode(bytes).unwrap(), Inlined::decode(bytes).unwrap());
    for (stdout, stderr) in [(&streams.stdout_raw, &streams.stderr_raw), (&inlined.stdout_raw, &inlined.stderr_raw)] {
        assert_eq!((&**stdout, &**stderr), (&*theirs.stdout_raw, &*theirs.stderr_raw));
    }
    let digests = (&theirs.stdout_digest, &theirs.stderr_digest);
    assert_eq!((&streams.stdout_digest, &streams.stderr_digest), digests);
    assert_eq!((&inlined.stdout_digest, &inlined.stderr_digest), digests);
    assert_eq!(inlined.output_files.len(), theirs.output_files.len());
    for (ours, theirs) in inlined.output_files.iter().zip(&theirs.output_files) {
        assert_eq!((&ours.digest, &*ours.contents), (&theirs.digest, &*theirs.contents));
    }
}

/// An update, whose result stays as it came.
pub(crate) fn update(bytes: &[u8]) {
    let Ok(theirs) = proto::UpdateActionResultRequest::decode(bytes) else { return };
    let ours = UpdateActionResultRequest::decode(bytes).unwrap();
    assert_eq!((&ours.instance_name, ours.digest_function), (&theirs.instance_name, theirs.digest_function));
    assert_eq!(ours.action_digest, theirs.action_digest);
    let result = ours.result().map(|result| proto::ActionResult::decode(result).unwrap());
    assert_eq!(result, theirs.action_result);
}
