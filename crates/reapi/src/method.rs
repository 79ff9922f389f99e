//! The methods that are served, by path, and what each needs of its caller.

use kura_auth::Need;

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    GetCapabilities,
    GetActionResult,
    UpdateActionResult,
    FindMissingBlobs,
    BatchUpdateBlobs,
    BatchReadBlobs,
    GetTree,
    SplitBlob,
    SpliceBlob,
    GetChunkMapping,
    RegisterChunkMapping,
    Read,
    Write,
    QueryWriteStatus,
    FetchBlob,
    FetchDirectory,
    PushBlob,
    PushDirectory,
    CasGet,
    CasPut,
    CasLoad,
    CasSave,
    GetValue,
    PutValue,
    HealthCheck,
    HealthWatch,
    Reflect,
    ReflectAlpha,
}

impl Method {
    pub(crate) const ALL: [Method; 28] = [
        Method::GetCapabilities,
        Method::GetActionResult,
        Method::UpdateActionResult,
        Method::FindMissingBlobs,
        Method::BatchUpdateBlobs,
        Method::BatchReadBlobs,
        Method::GetTree,
        Method::SplitBlob,
        Method::SpliceBlob,
        Method::GetChunkMapping,
        Method::RegisterChunkMapping,
        Method::Read,
        Method::Write,
        Method::QueryWriteStatus,
        Method::FetchBlob,
        Method::FetchDirectory,
        Method::PushBlob,
        Method::PushDirectory,
        Method::CasGet,
        Method::CasPut,
        Method::CasLoad,
        Method::CasSave,
        Method::GetValue,
        Method::PutValue,
        Method::HealthCheck,
        Method::HealthWatch,
        Method::Reflect,
        Method::ReflectAlpha,
    ];

    /// Its service and name.
    pub(crate) fn names(self) -> (&'static str, &'static str) {
        const CAPABILITIES: &str = "build.bazel.remote.execution.v2.Capabilities";
        const ACTION_CACHE: &str = "build.bazel.remote.execution.v2.ActionCache";
        const CAS: &str = "build.bazel.remote.execution.v2.ContentAddressableStorage";
        const BYTE_STREAM: &str = "google.bytestream.ByteStream";
        const FETCH: &str = "build.bazel.remote.asset.v1.Fetch";
        const PUSH: &str = "build.bazel.remote.asset.v1.Push";
        const LLVM_CAS: &str = "compilation_cache_service.cas.v1.CASDBService";
        const LLVM_VALUES: &str = "compilation_cache_service.keyvalue.v1.KeyValueDB";
        const HEALTH: &str = "grpc.health.v1.Health";
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
            Method::GetTree => (CAS, "GetTree"),
            Method::SplitBlob => (CAS, "SplitBlob"),
            Method::SpliceBlob => (CAS, "SpliceBlob"),
            Method::GetChunkMapping => (CAS, "GetChunkMapping"),
            Method::RegisterChunkMapping => (CAS, "RegisterChunkMapping"),
            Method::FetchBlob => (FETCH, "FetchBlob"),
            Method::FetchDirectory => (FETCH, "FetchDirectory"),
            Method::PushBlob => (PUSH, "PushBlob"),
            Method::PushDirectory => (PUSH, "PushDirectory"),
            Method::CasGet => (LLVM_CAS, "Get"),
            Method::CasPut => (LLVM_CAS, "Put"),
            Method::CasLoad => (LLVM_CAS, "Load"),
            Method::CasSave => (LLVM_CAS, "Save"),
            Method::GetValue => (LLVM_VALUES, "GetValue"),
            Method::PutValue => (LLVM_VALUES, "PutValue"),
            Method::HealthCheck => (HEALTH, "Check"),
            Method::HealthWatch => (HEALTH, "Watch"),
            Method::Reflect => ("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo"),
            Method::ReflectAlpha => ("grpc.reflection.v1alpha.ServerReflection", "ServerReflectionInfo"),
        }
    }

    /// What a call needs of whoever makes it.
    pub(crate) fn need(self) -> Need {
        match self {
            Method::HealthCheck | Method::HealthWatch => Need::Nothing,
            Method::GetCapabilities
            | Method::GetActionResult
            | Method::FindMissingBlobs
            | Method::BatchReadBlobs
            | Method::GetTree
            // What they cut is stored too, as what it is: that is theirs who own the blob.
            | Method::SplitBlob
            | Method::GetChunkMapping
            | Method::Read
            | Method::QueryWriteStatus
            | Method::FetchBlob
            | Method::FetchDirectory
            | Method::CasGet
            | Method::CasLoad
            | Method::GetValue
            | Method::Reflect
            | Method::ReflectAlpha => Need::Read,
            Method::UpdateActionResult
            | Method::BatchUpdateBlobs
            | Method::SpliceBlob
            | Method::RegisterChunkMapping
            | Method::Write
            | Method::PushBlob
            | Method::PushDirectory
            | Method::CasPut
            | Method::CasSave
            | Method::PutValue => Need::Write,
        }
    }

    /// The services that are served, each once.
    pub(crate) fn services() -> Vec<&'static str> {
        let mut services: Vec<_> = Method::ALL.into_iter().map(|method| method.names().0).collect();
        services.dedup();
        services
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
    fn what_stores_is_for_who_may_and_what_asks_is_not_for_everybody() {
        let stores = ["Update", "BatchUpdate", "Write", "Push", "Put", "Save", "Splice", "Register"];
        for method in Method::ALL {
            let (service, name) = method.names();
            let need = match () {
                () if stores.iter().any(|stores| name.starts_with(stores)) => Need::Write,
                () if service == "grpc.health.v1.Health" => Need::Nothing,
                () => Need::Read,
            };
            assert_eq!(method.need(), need, "{name}");
        }
    }

    #[test]
    fn each_service_is_named_once() {
        let services = Method::services();
        let distinct: std::collections::HashSet<_> = services.iter().collect();
        assert_eq!(services.len(), distinct.len());
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
