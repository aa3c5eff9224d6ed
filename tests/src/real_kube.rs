//! A real kube-apiserver with etcd for the live suites, one for each test process.
//!
//! How the servers are found, started and stopped is `tools/servers`' own business: this runs it and talks
//! to what it started. Where `tools/servers run` started the whole test command, its server is used.
//!
//! ```text
//! test process --- stdin/stdout ---> tools/servers run -- (prints where, then waits for the end of stdin)
//!                                      +-- etcd
//!                                      +-- kube-apiserver
//! ```
//!
//! The servers stop when the pipe closes, however the test process ends.

use crate::definitions::{Definitions, DefinitionsError};
use crate::live;
use crate::server::Server;
use continuum_live::kube_transport::{Limits, USER_AGENT, tls_client};
use continuum_live::resource;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{AuthInfo, Config, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::core::discovery::ApiResource;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, ResourceExt};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Exit code of `tools/servers run` where there are no binaries.
const NOT_BUILT: i32 = 3;

/// Who asks the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// May do everything.
    Admin,
    /// May do nothing but ask what it may do.
    Nobody,
    /// One of three that may do everything, and that the server tells apart.
    Replica(usize),
}

/// How the server tells them apart.
pub const REPLICAS: [&str; 3] = ["replica-0", "replica-1", "replica-2"];

impl Who {
    fn context(self) -> &'static str {
        match self {
            Who::Admin => "admin",
            Who::Nobody => "nobody",
            Who::Replica(index) => REPLICAS[index],
        }
    }
}

/// A running kube-apiserver.
#[derive(Debug)]
pub struct RealKube {
    kubeconfig: Kubeconfig,
    /// Absent: somebody else's.
    server: Option<Server>,
}

/// Why there is no real server although there should be one.
#[derive(Debug, thiserror::Error)]
pub enum RealKubeError {
    /// The environment insists on it.
    #[error("no kube-apiserver, and CONTINUUM_LIVE=require: run `tools/servers build`")]
    Required,
    /// The script is not there or cannot be run.
    #[error("cannot run {}", script.display())]
    Script {
        /// The script.
        script: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The script gave up; it said why on stderr.
    #[error("`tools/servers run` ended early: {0}")]
    Servers(ExitStatus),
    /// What it wrote is of no use.
    #[error("kubeconfig of the server")]
    Kubeconfig(#[from] KubeconfigError),
    /// There are no definitions to install.
    #[error("definitions of the resources that others define")]
    Definitions(#[from] DefinitionsError),
    /// The server refused something it must not refuse.
    #[error("cannot {what}")]
    Kube {
        /// What was tried.
        what: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// A definition was never served.
    #[error("{0} is not served after 30 s")]
    NotServed(String),
}

impl RealKube {
    /// The server of this test process, started by the first caller, with the whole definitions of the resources that
    /// others define. `None`, with a line on stderr, where there are no binaries and the environment does not insist.
    pub async fn start() -> Result<Option<&'static RealKube>, &'static RealKubeError> {
        Self::shared(Definitions::Whole).await
    }

    /// The same with the simulated server's definitions, for what compares the two answer by answer. A process has one
    /// of the two.
    pub async fn start_reduced() -> Result<Option<&'static RealKube>, &'static RealKubeError> {
        Self::shared(Definitions::Reduced).await
    }

    async fn shared(definitions: Definitions) -> Result<Option<&'static RealKube>, &'static RealKubeError> {
        static SHARED: OnceCell<Result<Option<RealKube>, RealKubeError>> = OnceCell::const_new();
        SHARED.get_or_init(|| Self::start_own(definitions)).await.as_ref().map(Option::as_ref)
    }

    async fn start_own(definitions: Definitions) -> Result<Option<RealKube>, RealKubeError> {
        if let Ok(kubeconfig) = std::env::var("CONTINUUM_KUBECONFIG") {
            let real = RealKube { kubeconfig: Kubeconfig::read_from(kubeconfig)?, server: None };
            return real.prepared(definitions).await.map(Some);
        }
        Self::new(None, Some(definitions)).await
    }

    /// One more server, which is nobody else's and ends when it is dropped. `None` as for [`RealKube::start`].
    pub async fn another() -> Result<Option<RealKube>, RealKubeError> {
        Self::new(None, Some(Definitions::Whole)).await
    }

    /// The same without a definition, not even the Continuum's.
    pub async fn bare() -> Result<Option<RealKube>, RealKubeError> {
        Self::new(None, None).await
    }

    /// As [`RealKube::another`], which writes into `log` what it was asked to change, and by whom: a JSON object a line.
    pub async fn audited(log: &Path) -> Result<Option<RealKube>, RealKubeError> {
        Self::new(Some(log), Some(Definitions::Whole)).await
    }

    /// Without `definitions` nothing is installed.
    async fn new(
        audit_log: Option<&Path>,
        definitions: Option<Definitions>,
    ) -> Result<Option<RealKube>, RealKubeError> {
        let Some(real) = Self::launch(audit_log)? else {
            if live::is_required() {
                return Err(RealKubeError::Required);
            }
            live::skip("kube-apiserver", "see tools/servers");
            return Ok(None);
        };
        match definitions {
            Some(definitions) => real.prepared(definitions).await.map(Some),
            None => Ok(Some(real)),
        }
    }

    /// With these definitions and the Continuum's.
    async fn prepared(self, definitions: Definitions) -> Result<RealKube, RealKubeError> {
        let client = self.client(Who::Admin).await?;
        for definition in definitions.load()? {
            install(&client, &definition).await?;
        }
        install(&client, &resource::crd()).await?;
        Ok(self)
    }

    /// Starts the servers, where they are built.
    fn launch(audit_log: Option<&Path>) -> Result<Option<RealKube>, RealKubeError> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/servers");
        let failed = |source| RealKubeError::Script { script: script.clone(), source };
        let mut servers = Command::new(&script)
            .args(["run", "--", "sh", "-c", r#"echo "$CONTINUUM_KUBECONFIG"; exec cat"#])
            .envs(audit_log.map(|log| ("CONTINUUM_AUDIT_LOG", log)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let stdout = servers.stdout.take().expect("stdout is piped");
        let mut where_it_is = String::new();
        BufReader::new(stdout).read_line(&mut where_it_is).map_err(failed)?;
        if !where_it_is.is_empty() {
            let kubeconfig = Kubeconfig::read_from(where_it_is.trim_end())?;
            return Ok(Some(RealKube { kubeconfig, server: Some(Server::new(servers, "kube-apiserver")) }));
        }
        let status = servers.wait().map_err(failed)?;
        if status.code() == Some(NOT_BUILT) { Ok(None) } else { Err(RealKubeError::Servers(status)) }
    }

    /// The process. Panics where it is somebody else's.
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("it was started here")
    }

    /// kill -9, and the same again `away` later. Until it answers.
    pub async fn die_for(&self, away: Duration) {
        self.server().kill();
        tokio::time::sleep(away).await;
        self.server().start();
        let client = self.client(Who::Admin).await.expect("a client");
        for _ in 0..300 {
            let ready = http::Request::get("/readyz").body(Vec::new()).expect("a request");
            if client.request_text(ready).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("kube-apiserver does not answer after 60 s");
    }

    /// A kubeconfig for a process that is to be this one, as YAML.
    pub fn kubeconfig(&self, who: Who) -> String {
        let mut kubeconfig = self.kubeconfig.clone();
        kubeconfig.current_context = Some(who.context().into());
        serde_saphyr::to_string(&kubeconfig).expect("it was YAML before")
    }

    /// How to reach it: address, the generated certificate authority, token.
    pub async fn config(&self, who: Who) -> Result<Config, RealKubeError> {
        let options = KubeConfigOptions { context: Some(who.context().into()), ..Default::default() };
        Ok(Config::from_custom_kubeconfig(self.kubeconfig.clone(), &options).await?)
    }

    /// A client, over the adapters' own transport. Each test makes its own: a client lives on the runtime that
    /// made it.
    pub async fn client(&self, who: Who) -> Result<Client, RealKubeError> {
        let config = self.config(who).await?;
        tls_client(config, USER_AGENT, Limits::WATCHES).map_err(|source| kube_error("make a client", source))
    }

    /// A kubeconfig of a ServiceAccount as YAML, with a token that the server gives for it: it may do what roles give the
    /// account, and nothing else.
    pub async fn kubeconfig_of(&self, namespace: &str, account: &str) -> Result<String, RealKubeError> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(Who::Admin).await?, namespace);
        let wanted = TokenRequest { spec: Some(TokenRequestSpec::default()), ..TokenRequest::default() };
        let given = accounts
            .create_token_request(account, &PostParams::default(), &wanted)
            .await
            .map_err(|source| kube_error(format!("get a token of {namespace}/{account}"), source))?;
        let token = given.status.unwrap_or_default().token;
        let bearer: AuthInfo = serde_json::from_value(json!({ "token": token })).expect("a user with a token");
        let mut kubeconfig = self.kubeconfig.clone();
        for user in &mut kubeconfig.auth_infos {
            user.auth_info = Some(bearer.clone());
        }
        Ok(serde_saphyr::to_string(&kubeconfig).expect("it was YAML before"))
    }

    /// A client of a ServiceAccount, as [`RealKube::client`] is one of somebody.
    pub async fn client_of(&self, namespace: &str, account: &str) -> Result<Client, RealKubeError> {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig_of(namespace, account).await?)?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        tls_client(config, USER_AGENT, Limits::WATCHES).map_err(|source| kube_error("make a client", source))
    }

    /// Makes a namespace whose name begins with this one, as far as the length of names allows. Its name.
    pub async fn namespace(&self, name: &str) -> Result<String, RealKubeError> {
        let namespaces: Api<Namespace> = Api::all(self.client(Who::Admin).await?);
        let mut wanted = Namespace::default();
        wanted.metadata.generate_name = Some(format!("{name:.50}-"));
        let made = namespaces
            .create(&PostParams::default(), &wanted)
            .await
            .map_err(|source| kube_error(format!("create namespace {name}"), source))?;
        Ok(made.name_any())
    }
}

/// Installs a resource definition and waits until the server serves it.
pub async fn install(client: &Client, definition: &CustomResourceDefinition) -> Result<(), RealKubeError> {
    let name = definition.name_any();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions
        .patch(&name, &PatchParams::apply("continuum-tests").force(), &Patch::Apply(definition))
        .await
        .map_err(|source| kube_error(format!("install {name}"), source))?;
    let served = async {
        // Errors of the watch are retried by it; one that stays ends in the time limit below.
        await_condition(definitions, &name, conditions::is_crd_established()).await.ok();
        let version = definition.spec.versions.first().map_or("v1", |version| version.name.as_str());
        let resource = ApiResource {
            group: definition.spec.group.clone(),
            version: version.to_owned(),
            api_version: format!("{}/{version}", definition.spec.group),
            kind: definition.spec.names.kind.clone(),
            plural: definition.spec.names.plural.clone(),
        };
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        // Established, and yet a request may still find no such path for a moment.
        while objects.list(&ListParams::default().limit(1)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), served).await.map_err(|_| RealKubeError::NotServed(name))
}

fn kube_error(what: impl Into<String>, source: kube::Error) -> RealKubeError {
    RealKubeError::Kube { what: what.into(), source: Box::new(source) }
}
