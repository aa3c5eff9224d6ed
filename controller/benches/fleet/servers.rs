//! The two real API servers. The witness's Leases stand on the first.

use crate::REGIONS;
use continuum_tests::real_kube::{RealKube, Who};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use std::path::{Path, PathBuf};

/// See the module.
pub struct Servers {
    pub kube: [RealKube; 2],
    pub clients: [kube::Client; 2],
    folder: PathBuf,
}

impl Servers {
    /// `None`, with a line on stderr, where they are not built.
    pub async fn start() -> Option<Self> {
        let first = RealKube::another().await.expect("a real kube-apiserver")?;
        let second = RealKube::another().await.expect("a real kube-apiserver")?;
        let kube = [first, second];
        let folder = std::env::temp_dir().join(format!("continuum-fleet-{}", std::process::id()));
        let mut clients = Vec::new();
        for (index, region) in REGIONS.into_iter().enumerate() {
            let other = REGIONS[1 - index];
            put(&folder.join("own").join(region), &kube[index].kubeconfig(Who::Admin));
            let away = folder.join(format!("of-{region}")).join(format!("{other}.kubeconfig"));
            put(&away, &kube[1 - index].kubeconfig(Who::Admin));
            clients.push(kube[index].client(Who::Admin).await.expect("a client"));
        }
        let clients = clients.try_into().unwrap_or_else(|_| unreachable!("there are two"));
        Some(Self { kube, clients, folder })
    }

    /// The kubeconfig of a region's own server.
    pub fn own(&self, index: usize) -> PathBuf {
        self.folder.join("own").join(REGIONS[index])
    }

    /// The folder with the kubeconfig of the other region's, as seen from here.
    pub fn away(&self, index: usize) -> PathBuf {
        self.folder.join(format!("of-{}", REGIONS[index]))
    }

    /// Where a process may write its log.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub async fn namespace(&self, index: usize, name: &str) {
        let namespaces: Api<Namespace> = Api::all(self.clients[index].clone());
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.into());
        namespaces.create(&PostParams::default(), &namespace).await.expect("a new namespace");
    }

    pub fn objects(&self, index: usize, namespace: &str, kind: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.clients[index].clone(), namespace, kind)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // The logs say why a run failed.
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

fn put(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder can be made");
    std::fs::write(path, text).expect("a file can be written");
}

pub fn continuums() -> ApiResource {
    kind("dr.openova.io", "Continuum", "continuums")
}

pub fn clusters() -> ApiResource {
    kind("postgresql.cnpg.io", "Cluster", "clusters")
}

pub fn routes() -> ApiResource {
    kind("gateway.networking.k8s.io", "HTTPRoute", "httproutes")
}

pub fn leases() -> ApiResource {
    kind("coordination.k8s.io", "Lease", "leases")
}

fn kind(group: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural)
}
