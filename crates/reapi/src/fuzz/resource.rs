//! ByteStream's resource names: what one names is what it names when it is spelled out in full.

use kura_auth::Access;
use kura_cache::Compression;

use crate::resource::Resource;

pub(super) fn target(bytes: &[u8]) {
    let Ok(name) = str::from_utf8(bytes) else { return };
    if let Ok(resource) = Resource::to_read(&Access::anyone(), name) {
        assert_eq!(Resource::to_read(&Access::anyone(), &spelled(&resource)).ok(), Some(resource.clone()), "{name}");
        let upload = format!("uploads/{}", spelled(&resource));
        assert!(Resource::to_read(&Access::anyone(), &upload).is_err(), "an upload is not read");
    }
    if let Ok(resource) = Resource::to_write(&Access::anyone(), name) {
        let (tenant, rest) = (resource.scope.tenant.as_str(), spelled(&resource));
        let rest = rest.strip_prefix(&format!("{tenant}/{}/", resource.scope.namespace.as_str())).unwrap();
        let full = format!("{tenant}/{}/uploads/id/{rest}", resource.scope.namespace.as_str());
        assert_eq!(Resource::to_write(&Access::anyone(), &full).ok(), Some(resource), "{name}");
    }
}

fn spelled(resource: &Resource) -> String {
    let (scope, digest) = (&resource.scope, &resource.digest);
    let form = match resource.compression {
        Compression::Identity => "blobs",
        Compression::Zstd => "compressed-blobs/zstd",
    };
    let function = format!("{:?}", digest.function()).to_lowercase();
    let (tenant, namespace) = (scope.tenant.as_str(), scope.namespace.as_str());
    format!("{tenant}/{namespace}/{form}/{function}/{digest}/{}", digest.size().unwrap())
}
