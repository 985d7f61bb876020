//! Random logical calls, interleaved on one instance over a store that is never ready, equal their sequential outcomes.

use tessera::store::MemoryStore;
use tessera::{KeepFields, Session, SessionError, Sessions};
use tessera_tests::stores::NeverReady;

use super::builder;

const CLIENTS: u64 = 40;
const STEPS: usize = 60;
const RUNS: u64 = 8;

/// Steele, Lea and Flood's SplitMix64: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What one call answered, without what is drawn at random.
fn outcome<T>(answer: Result<T, SessionError>, tell: impl FnOnce(T) -> String) -> String {
    match answer {
        Ok(value) => tell(value),
        Err(error) => format!("error: {error}"),
    }
}

/// One client: two handles on one session of its own, and whatever comes.
async fn client(sessions: Sessions, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    let subject = format!("subject{seed}");
    let mut told = Vec::new();
    let mut token = String::new();
    let mut handles: [Session; 2] = [sessions.create(), sessions.create()];
    for _ in 0..STEPS {
        let which = random.below(2) as usize;
        let name = format!("field{}", random.below(4));
        let handle = &handles[which];
        let mut grant = |answer: Result<tessera::Grant, SessionError>| {
            outcome(answer, |grant| {
                let handed = grant.token.is_some();
                token = grant.token.unwrap_or_else(|| std::mem::take(&mut token));
                format!("granted, token: {handed}")
            })
        };
        told.push(match random.below(14) {
            0 | 1 => outcome(handle.set(&name, &random.below(1000)), |()| "set".into()),
            2 => outcome(handle.get_value(&name), |value| format!("{value:?}")),
            3 => outcome(handle.remove(&name), |was| format!("removed: {was}")),
            4 => outcome(handle.entries_json(), |json| json),
            5 => outcome(handle.clear(), |()| "cleared".into()),
            6 | 7 => grant(handle.save().await),
            8 => grant(handle.rotate().await),
            9 => grant(
                handle
                    .authenticate_keeping(&subject, &KeepFields::Everything)
                    .await,
            ),
            10 => outcome(handle.touch().await, |wrote| format!("touched: {wrote}")),
            11 => outcome(
                sessions.list(&subject, tessera::PageRequest::default()).await,
                |page| format!("{} listed", page.items.len()),
            ),
            12 if random.below(6) == 0 => outcome(handle.destroy().await, |()| "destroyed".into()),
            _ => {
                let opened = sessions.open(&token).await;
                outcome(opened, |session| {
                    handles[which] = session;
                    "opened".into()
                })
            }
        });
    }
    told
}

#[tokio::test]
async fn interleaved_calls_on_one_instance_equal_their_sequential_outcomes() {
    let mut calls = 0;
    for run in 0..RUNS {
        let seeds: Vec<u64> = (0..CLIENTS).map(|client| run * 1000 + client).collect();
        let calm = builder().instances(1).build(MemoryStore::new()).unwrap();
        let mut expected = Vec::new();
        for seed in &seeds {
            expected.push(client(calm.clone(), *seed).await);
        }

        let restless = builder()
            .instances(1)
            .build(NeverReady::new(MemoryStore::new()))
            .unwrap();
        let tasks: Vec<_> = seeds
            .iter()
            .map(|seed| tokio::spawn(client(restless.clone(), *seed)))
            .collect();
        for ((task, seed), expected) in tasks.into_iter().zip(&seeds).zip(expected) {
            let told = task.await.unwrap();
            for (step, (told, expected)) in told.iter().zip(&expected).enumerate() {
                assert_eq!(told, expected, "seed {seed}, step {step}");
                calls += 1;
            }
        }
    }
    println!("{calls} calls had the same outcome");
}
