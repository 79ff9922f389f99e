//! The methods that are served, by path.

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    GetCapabilities,
    GetActionResult,
    UpdateActionResult,
    FindMissingBlobs,
    BatchUpdateBlobs,
    BatchReadBlobs,
    Read,
    Write,
    QueryWriteStatus,
}

impl Method {
    pub(crate) const ALL: [Method; 9] = [
        Method::GetCapabilities,
        Method::GetActionResult,
        Method::UpdateActionResult,
        Method::FindMissingBlobs,
        Method::BatchUpdateBlobs,
        Method::BatchReadBlobs,
        Method::Read,
        Method::Write,
        Method::QueryWriteStatus,
    ];

    /// Its service and name.
    pub(crate) fn names(self) -> (&'static str, &'static str) {
        const CAPABILITIES: &str = "build.bazel.remote.execution.v2.Capabilities";
        const ACTION_CACHE: &str = "build.bazel.remote.execution.v2.ActionCache";
        const CAS: &str = "build.bazel.remote.execution.v2.ContentAddressableStorage";
        const BYTE_STREAM: &str = "google.bytestream.ByteStream";
        match self {
            Method::GetCapabilities => (CAPABILITIES, "GetCapabilities"),
            Method::GetActionResult => (ACTION_CACHE, "GetActionResult"),
            Method::UpdateActionResult => (ACTION_CACHE, "UpdateActionResult"),
            Method::FindMissingBlobs => (CAS, "FindMissingBlobs"),
            Method::BatchUpdateBlobs => (CAS, "BatchUpdateBlobs"),
            Method::BatchReadBlobs => (CAS, "BatchReadBlobs"),
            Method::Read => (BYTE_STREAM, "Read"),
            Method::Write => (BYTE_STREAM, "Write"),
            Method::QueryWriteStatus => (BYTE_STREAM, "QueryWriteStatus"),
        }
    }

    /// The method that `path` names.
    pub(crate) fn of(path: &str) -> Option<Method> {
        let (service, name) = path.strip_prefix('/')?.split_once('/')?;
        Method::ALL.into_iter().find(|method| method.names() == (service, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_is_found_by_its_path_and_stands_in_order() {
        for (at, method) in Method::ALL.into_iter().enumerate() {
            let (service, name) = method.names();
            assert_eq!(Method::of(&format!("/{service}/{name}")), Some(method));
            assert_eq!(method as usize, at);
        }
    }

    #[test]
    fn what_is_not_served_is_no_method() {
        for path in [
            "",
            "/",
            "//",
            "/a/b",
            "/build.bazel.remote.execution.v2.Execution/Execute",
            "/google.bytestream.ByteStream/Read/",
        ] {
            assert_eq!(Method::of(path), None, "{path}");
        }
    }
}
