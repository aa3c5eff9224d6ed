//! The instance manager's promotion: first the token, then the end of recovery, then the role's password.

use super::database::Status;
use super::hand::Hand;
use super::view::{HEALTHY, Role, UNRECOVERABLE, View};
use super::{Promotion, Stuck, Token};
use crate::servers::kube_api::SECRETS;
use crate::servers::postgres::{Order, State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A promotion whose token was not replayed to is looked at again after this, ms.
const LOOK_AGAIN_MS: std::ops::RangeInclusive<u64> = 10_300..=10_700;
/// A password that PostgreSQL did not take is set again after this, ms.
const SET_AGAIN_MS: std::ops::RangeInclusive<u64> = 980..=1_050;
/// One that is stuck.
const STUCK: Duration = Duration::from_millis(500);

impl Hand {
    /// Does one thing of a promotion. `false`: there is nothing to do.
    pub(super) async fn promote(&self, view: &View, instance: &Status) -> bool {
        if view.role != Role::Primary || view.fenced {
            self.change_if(|memory| memory.promotion.take().is_some());
            return false;
        }
        if !instance.standby_signal {
            let pending = view.should_promote() && instance.state == State::Running && !instance.in_recovery;
            // Already primary when the token came, or the last write of it failed.
            return pending && self.promoted(view).await;
        }
        let now = self.now();
        let promotion = self.memory().promotion.clone();
        let Some(promotion) = promotion.filter(|promotion| promotion.token == view.promotion_token) else {
            let first = if view.promotion_token.is_some() { self.pick(310..=440) } else { self.pick(210..=360) };
            let token = view.promotion_token.clone();
            let promotion = Promotion { token, next_look: now + first, refused: false };
            self.change(|memory| memory.promotion = Some(promotion));
            return true;
        };
        if promotion.refused || promotion.next_look > now {
            return false;
        }
        match self.verify(view, instance).await {
            Verdict::Promote => self.end_recovery(view).await,
            Verdict::Later => {
                let pause = if promotion.token.is_none() { STUCK } else { self.pick(LOOK_AGAIN_MS) };
                let next = now + self.built_in(pause);
                self.change(|memory| memory.promotion = Some(Promotion { next_look: next, ..promotion }));
            }
            Verdict::Wrong => {
                let reason = "Promotion token content is not correct for current instance";
                if self.set_phase(UNRECOVERABLE, Some(reason), Some(false)).await {
                    self.change(|memory| memory.promotion = Some(Promotion { refused: true, ..promotion }));
                }
            }
        }
        true
    }

    /// Whether the token fits, as the real one compares it with `pg_controldata`.
    async fn verify(&self, view: &View, instance: &Status) -> Verdict {
        if self.memory().knobs.stuck.contains(&Stuck::AtPromotion) || instance.state != State::Running {
            return Verdict::Later;
        }
        let Some(token) = &view.promotion_token else { return Verdict::Promote };
        let Some(token) = Token::decode(token) else { return Verdict::Wrong };
        let Some((timeline, redo)) = self.instance.checkpoint().await else { return Verdict::Later };
        let wanted = token.timeline.parse::<u32>().unwrap_or_default();
        if token.database_system_identifier != self.instance.system_id() || wanted < timeline {
            return Verdict::Wrong;
        }
        if wanted > timeline || redo < token.redo {
            return Verdict::Later;
        }
        if redo > token.redo { Verdict::Wrong } else { Verdict::Promote }
    }

    async fn end_recovery(&self, view: &View) {
        self.dawdle(|knobs| knobs.promotion_extra).await;
        self.pause(80..=160).await;
        self.as_recorded(2_100).await;
        self.instance.order(Order::Promote);
        self.instance
            .watch(|instance| {
                (!instance.in_recovery || instance.state != State::Running || !instance.alive).then_some(())
            })
            .await;
        let instance = self.instance.status();
        if !instance.alive || instance.state != State::Running {
            return;
        }
        self.change(|memory| memory.promotion = None);
        self.adopt_secret(view).await;
        if view.promotion_token.is_some() {
            self.promoted(view).await;
        } else if view.phase == UNRECOVERABLE {
            self.set_phase(HEALTHY, None, None).await;
        }
    }

    async fn promoted(&self, view: &View) -> bool {
        self.pause(80..=230).await;
        self.set_status(json!({"lastPromotionToken": view.promotion_token}), &[]).await
    }

    /// The role's password becomes that of this half's secret, which is made where there is none: every client with
    /// the other half's password is locked out.
    async fn adopt_secret(&self, view: &View) {
        let name = &view.application_secret;
        if self.api.read(&SECRETS, name).await.is_err() && *name == format!("{}-app", self.object.name) {
            let password = format!("{:016x}", self.pick(0..=u64::from(u32::MAX)).as_nanos());
            // Where it is there after all, it is read below.
            let _ = self.api.create(&SECRETS, &secret(&self.object.namespace, name, &password)).await;
        }
        self.set_password(view).await;
    }

    /// A primary gives its role the password of a secret that changed. Whether it did.
    pub(super) async fn follow_secret(&self, view: &View, instance: &Status) -> bool {
        if instance.state != State::Running || instance.in_recovery {
            return false;
        }
        let known = self.memory().secret_version.clone();
        match (&known, &view.secret_version) {
            (None, _) => self.set_password(view).await,
            (Some(known), Some(seen)) if known != seen => self.set_password(view).await,
            _ => false,
        }
    }

    async fn set_password(&self, view: &View) -> bool {
        let Some(secret) = self.remember_secret(view).await else { return false };
        let Some(password) = secret_password(&secret) else { return false };
        if self.instance.status().accepts_writes() && !self.instance.set_password("app", &password).await {
            // It is set again.
            self.change(|memory| memory.secret_version = None);
            self.pause(SET_AGAIN_MS).await;
        }
        true
    }

    /// Takes the secret as the one whose password the role has. Where there is none, the operator's word that there is
    /// one is waited for.
    pub(super) async fn remember_secret(&self, view: &View) -> Option<Arc<Value>> {
        let secret = self.api.read(&SECRETS, &view.application_secret).await.ok();
        let version = secret.as_ref().and_then(|secret| secret["metadata"]["resourceVersion"].as_str());
        self.change(|memory| memory.secret_version = Some(version.unwrap_or_default().to_owned()));
        secret
    }

    /// The operator tells the instance manager, through the status, that the role's secret changed.
    pub(super) async fn watch_secret(&self) {
        loop {
            let mark = self.mark();
            if let Some(view) = self.view().filter(|view| !view.disabled && self.api.knows(&SECRETS)) {
                let secret = self.api.get(&SECRETS, &view.application_secret);
                let version = secret.as_ref().and_then(|secret| secret["metadata"]["resourceVersion"].as_str());
                if version.is_some() && version != view.secret_version.as_deref() {
                    let status = json!({"secretsResourceVersion": {"applicationSecretVersion": version}});
                    self.set_status(status, &[]).await;
                    continue;
                }
            }
            self.moved_on(mark, None).await;
        }
    }
}

enum Verdict {
    Promote,
    Later,
    Wrong,
}

/// A role's secret, as the operator makes it.
fn secret(namespace: &str, name: &str, password: &str) -> Value {
    let encode = |text: &str| STANDARD.encode(text);
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/basic-auth",
        "data": {"username": encode("app"), "password": encode(password)},
    })
}

fn secret_password(secret: &Value) -> Option<String> {
    String::from_utf8(STANDARD.decode(secret["data"]["password"].as_str()?).ok()?).ok()
}
