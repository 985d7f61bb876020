//! Where both fixtures stand: rules with small limits, a clock that stands still, and the same random bytes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tessera::store::StoreService;
use tessera::{Clock, Component, Random, Sessions, Timestamp};

use super::model::TOKEN_BYTES;
use super::plan::Rules;
use super::values::{FIELDS, NAME_BYTES, RECORD_BYTES, VALUE_BYTES};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
pub(crate) const IDLE: Duration = Duration::from_secs(1800);
pub(crate) const ABSOLUTE: Duration = Duration::from_secs(86_400);
pub(crate) const SECRET: &str = "the secret that signs, which nobody may read";
pub(crate) const FOREIGN_SECRET: &str = "another secret, which signs for somebody else";

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// The same bytes in both fixtures, as long as both ask as often: SplitMix64.
struct Drawn(AtomicU64);

impl Random for Drawn {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        for byte in bytes {
            let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (mixed >> 56) as u8;
        }
        Ok(())
    }
}

pub(crate) fn build(component: &Component, rules: Rules, secret: &str, store: impl StoreService) -> Sessions {
    let builder = Sessions::builder_with(component.clone());
    let builder = builder
        .signing_key("key", secret)
        .clock(Still)
        .random(Drawn(AtomicU64::new(7)))
        .instances(1)
        .idle_timeout(IDLE)
        .absolute_timeout(ABSOLUTE);
    let builder = builder.policy(|policy| {
        (policy.token_format, policy.field_rule, policy.reuse_rule) =
            (rules.format, rules.field_rule, rules.reuse_rule);
        (policy.issuer, policy.audience) = ("issuer".into(), "audience".into());
        policy.rotation_grace = Duration::from_secs(if rules.graceful { 10 } else { 0 });
        policy.maximum_token_bytes = TOKEN_BYTES as u32;
        policy.maximum_name_bytes = NAME_BYTES as u32;
        policy.maximum_value_bytes = VALUE_BYTES as u32;
        policy.maximum_record_bytes = RECORD_BYTES as u32;
        policy.maximum_fields = FIELDS as u32;
        policy.public_fields = vec!["a".into()];
    });
    builder.build(store).expect("a fit policy")
}
