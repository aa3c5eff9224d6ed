//! A pair as a whole: what a switchover by processes needs, and what a person does with it.

mod collector;
mod told;

use super::installed::Installed;
use super::process::{Process, until, until_ok};
use super::{REGIONS, Regions};
use collector::Collector;
use continuum_tests::real_powerdns::RealPowerDns;
use continuum_tests::stand_in::StandIn;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Within which a process that is told to end has ended: a kubelet's usual grace.
const GRACE: Duration = Duration::from_secs(30);

/// Both regions with their halves, operators' stand-ins and controllers.
pub struct Pair {
    pub regions: Regions,
    pub processes: [Process; 2],
    installed: Installed,
    collector: Collector,
    powerdns: &'static RealPowerDns,
    _operators: Vec<StandIn>,
}

impl Pair {
    /// A healthy one, whose primary is in the first region. `hostname`: one of its own in the zone `example.org`, since all
    /// tests of a process publish on one server.
    pub async fn start(hostname: &str) -> Option<Self> {
        Self::of(Regions::start().await?, hostname).await
    }

    /// The same, with these regions.
    pub async fn of(regions: Regions, hostname: &str) -> Option<Self> {
        regions.put("shop", json!({ "secretRef": { "name": "probe" } })).await;
        let installed = Installed::start(&regions).await?;
        let powerdns = RealPowerDns::start()?;
        let mut operators = Vec::new();
        for (index, region) in REGIONS.into_iter().enumerate() {
            let name = format!("shop-{region}");
            let operator = StandIn::start(&regions.servers[index], &regions.postgres, index, "shop", &name);
            operators.push(operator.await.expect("a stand-in for the operator"));
        }
        let names = json!({ "spec": {
            "luaRecord": { "hostnames": [hostname], "selector": "pickwhashed" },
            "dns": { "authorities": [powerdns.dns.to_string()] },
        } });
        for index in 0..2 {
            let continuums = regions.continuums(index).await;
            let change = Patch::Merge(&names);
            continuums.patch("shop", &PatchParams::default(), &change).await.expect("it takes them");
        }
        // Whoever saw the copies before they had their names would tell of a change.
        let collector = Collector::start();
        let processes = [0, 1].map(|index| Process::start(variables(&installed, &collector, powerdns, index)));
        let pair = Self { regions, processes, installed, collector, powerdns, _operators: operators };
        pair.until_healthy().await;
        Some(pair)
    }

    pub async fn until_healthy(&self) {
        for (index, region) in REGIONS.into_iter().enumerate() {
            until_ok("the pair to be healthy", async || {
                let status = self.status(index).await;
                if status["phase"] == "Healthy" { Ok(()) } else { Err(format!("{region}: {status:#}")) }
            })
            .await;
        }
    }

    pub async fn status(&self, index: usize) -> Value {
        self.regions.status(index, "shop").await
    }

    /// Asks the controller of a region: status and body.
    pub fn ask(&self, index: usize, what: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = self.processes[index].call(what, &body);
        (status, serde_json::from_str(&answer).unwrap_or(Value::String(answer)))
    }

    /// A dry run of the move away from this region, once nothing speaks against it.
    pub async fn dry_run(&self, from: usize) -> Value {
        let mut report = Value::Null;
        until("nothing to speak against the move", async || {
            let to = json!({ "toRegion": REGIONS[1 - from] });
            let (status, body) = self.ask(from, "POST /v1/continuums/shop/shop/dry-run", &to);
            assert_eq!(status, 200, "{body:#}");
            report = body;
            report["blockers"].is_null()
        })
        .await;
        report
    }

    /// Orders the move that this dry run was of. The answer once it is taken.
    pub async fn order(&self, from: usize, report: &Value) -> Value {
        let order = json!({ "toRegion": REGIONS[1 - from], "confirmedFingerprint": report["planFingerprint"] });
        self.give(from, "switchover", &order).await
    }

    /// Gives an order; again where one look found something that is not known. The answer once it is taken.
    pub async fn give(&self, index: usize, what: &str, order: &Value) -> Value {
        let mut taken = Value::Null;
        until("the order to be taken", async || {
            let (status, answer) = self.ask(index, &format!("POST /v1/continuums/shop/shop/{what}"), order);
            let unknown = answer["error"].as_str().is_some_and(|error| error.contains(" is not "));
            assert!(status == 202 || status == 409 && unknown, "{status} {answer:#}");
            taken = answer;
            status == 202
        })
        .await;
        taken
    }

    /// Waits until the ordered move has begun this step. The step that it has begun last; absent: it ended before it was
    /// seen there.
    pub async fn until_step(&self, waited: usize) -> Option<usize> {
        let (mut begun, mut now) = (false, None);
        until(&format!("step {waited}"), async || {
            now = self.step().await;
            begun |= now.is_some();
            now >= Some(waited) || begun && now.is_none()
        })
        .await;
        now
    }

    /// Waits until the move under way has ended, as both copies tell, the pair is healthy, and both routes lead to who
    /// has the role. Which region that is.
    pub async fn until_ended(&self) -> usize {
        until("the move to end", async || self.step().await.is_none()).await;
        self.until_healthy().await;
        let holder = self.regions.holder("shop").await.expect("somebody holds it");
        let index = REGIONS.iter().position(|region| holder.starts_with(region)).expect("a region");
        for (copy, region) in REGIONS.into_iter().enumerate() {
            until("the copy to tell", async || self.status(copy).await["primaryRegion"] == REGIONS[index]).await;
            until_ok("the route to lead there", async || {
                let weights = self.weights(copy).await;
                if weights == all_to(index) { Ok(()) } else { Err(format!("{region}: {weights:?}")) }
            })
            .await;
        }
        index
    }

    /// The step that the move under way has begun last, by the record.
    pub async fn step(&self) -> Option<usize> {
        let record = self.regions.record("shop").await;
        let steps = record["intent"]["steps"].as_array()?;
        Some(steps.iter().filter(|step| !step["startedAt"].is_null()).count())
    }

    /// The weight that the route in this region has for the backend of each.
    pub async fn weights(&self, index: usize) -> [Option<u64>; 2] {
        self.regions.weights(index, "shop").await
    }

    /// Waits until the collector has the whole trace of the move that ended last.
    pub async fn until_traced(&self) {
        until_ok("the trace of the move", async || self.collector.whole(&self.regions.record("shop").await["last"]))
            .await;
    }

    /// Waits until the stream has all that the record owes it.
    pub async fn until_told(&self) {
        until("the stream to be told", async || self.regions.record("shop").await["owed"].is_null()).await;
    }

    /// kill -9 of the server of the records, and the same again this much later. `false`, with a line on stderr: it is
    /// somebody else's, which is not killed.
    pub async fn records_away_for(&self, away: Duration) -> bool {
        let Some(server) = self.powerdns.server() else {
            continuum_tests::live::skip("a PowerDNS of one's own", "leave CONTINUUM_POWERDNS_* out");
            return false;
        };
        server.kill();
        tokio::time::sleep(away).await;
        server.start();
        true
    }

    /// kill -9 of a controller, and another in its place, as a Deployment makes one.
    pub fn kill(&mut self, index: usize) {
        self.processes[index].kill();
        self.begin(index);
    }

    /// SIGTERM to a controller, and another in its place once it has ended, as a rollout does. The move's intent as the
    /// first left it; absent: it had ended by then.
    pub async fn replace(&mut self, index: usize) -> Option<Value> {
        let told = Instant::now();
        let process = &mut self.processes[index];
        process.signal("-TERM");
        let status = process.ended().await;
        let (took, log) = (told.elapsed(), process.log());
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(took < GRACE, "it ended after {took:?}");
        assert!(log.contains(r#""message":"stopped""#) && !log.contains("panicked"), "{log}");
        let intent = self.regions.record("shop").await["intent"].clone();
        self.begin(index);
        intent.is_object().then_some(intent)
    }

    fn begin(&mut self, index: usize) {
        self.processes[index] = Process::start(variables(&self.installed, &self.collector, self.powerdns, index));
    }
}

/// The weights of a route that leads to this region alone.
pub fn all_to(index: usize) -> [Option<u64>; 2] {
    [0, 1].map(|backend| Some(if backend == index { 100 } else { 0 }))
}

impl Drop for Pair {
    fn drop(&mut self) {
        // They go with their folder, and tell why a test failed.
        if std::thread::panicking() {
            for (server, region) in REGIONS.into_iter().enumerate() {
                eprintln!("---- log of PostgreSQL in {region}\n{}", self.regions.postgres.log(server));
            }
        }
    }
}

fn variables(
    installed: &Installed,
    collector: &Collector,
    powerdns: &RealPowerDns,
    index: usize,
) -> BTreeMap<&'static str, String> {
    let mut variables = installed.variables(index);
    variables.insert("POWERDNS_API_URL", format!("http://{}", powerdns.api));
    variables.insert("POWERDNS_API_KEY", powerdns.key.clone());
    // Of its own zone an authoritative server says what a resolver would.
    variables.insert("CONTINUUM_VANTAGES", powerdns.dns.to_string());
    variables.insert("CONTINUUM_HEALTH_DELAY_SECONDS", "3".into());
    variables.extend(collector.variables());
    variables
}
