//! Instance names: a tenant and a namespace, which resource names can hold.

use crate::resource::Resource;
use crate::scope::of_instance;
use kura_auth::Access;

const EMPTY: &str = "blobs/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855/0";

pub(super) fn target(bytes: &[u8]) {
    let Ok(name) = str::from_utf8(bytes) else { return };
    let Ok(scope) = of_instance(&Access::anyone(), name) else { return };
    let full = format!("{}/{}", scope.tenant.as_str(), scope.namespace.as_str());
    assert_eq!(of_instance(&Access::anyone(), &full).ok().as_ref(), Some(&scope), "{name}");
    if name.is_empty() || name.starts_with('/') {
        return;
    }
    let resource = Resource::to_read(&Access::anyone(), &format!("{name}/{EMPTY}")).unwrap();
    assert_eq!(resource.scope, scope, "{name}");
}
