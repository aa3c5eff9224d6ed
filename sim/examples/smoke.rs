//! Runs a planned switchover and prints its trace.
use continuum_sim::determinism::on_seeded_thread;
use continuum_sim::gate::Open;
use continuum_sim::servers::kube_api::*;
use continuum_sim::world::*;
use std::sync::Arc;
fn main() {
    continuum_sim::trace::install();
    on_seeded_thread(7, || {
        continuum_sim::trace::capture();
        let mut w = World::new(WorldOptions { seed: 7, ..Default::default() }, Arc::new(Open), None);
        let secs: u64 = std::env::args().nth(1).map_or(20, |s| s.parse().unwrap());
        for i in 0..secs * 100 {
            if i == 2000 {
                let (order, _a) = awaited(|answer| Order::DryRun { to: continuum_core::name::Region::new("hel"), reason: None, answer });
                w.desks["fsn"].leave(order);
                for _ in 0..300 { w.step().unwrap(); }
                if let Answered::With(r) = _a.look() { println!("{}", serde_json::to_string_pretty(&r.unwrap()).unwrap()); }
                let (order, a) = awaited(|answer| Order::Execute { to: continuum_core::name::Region::new("hel"), order: Default::default(), answer });
                w.desks["fsn"].leave(order);
                std::mem::forget(a);
            }
            w.step().unwrap();
        }
        for l in continuum_sim::trace::take() {
            println!("{l}");
        }
        println!("{:#}", w.store("fsn").get(&CONTINUUMS, "shop", "shop").unwrap()["status"]);
        println!("{:#}", w.store("hel").get(&CONTINUUMS, "shop", "shop").unwrap()["status"]);
        println!("{:#}", w.witness().unwrap().list(&LEASES, None)[0]);
        println!("fsn {:?}", w.store("fsn").history().len());
        for m in w.nats.messages() { println!("{m:?}"); }
    })
    .unwrap();
}
