//! A sender of messages to the connections of all clients.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use super::http::{Desk, PATIENCE};
use super::world::{Post, World, count};
use crate::dice::Dice;

/// The range of the pause between two messages, in milliseconds.
const THINKING: [u64; 2] = [0, 12];
/// One of so many messages is one to all connections of a subject.
const NOTICES: usize = 20;
/// The pause before another try.
const PAUSE: Duration = Duration::from_millis(50);
/// The greatest length of a message's text.
const TEXT: usize = 2000;

/// Sends until the round is over.
pub(super) async fn send(world: Arc<World>, mut dice: Dice) {
    let mut desk = Desk::new(&world.addresses);
    while !world.is_over() {
        let [least, most] = THINKING;
        sleep(dice.pause(least, most)).await;
        let Some(post) = world.some_post(|number| dice.below(number)) else {
            continue;
        };
        if dice.below(NOTICES) == 0 {
            notify(&world, &mut desk, &mut dice, &post).await;
        } else {
            send_next(&world, &mut desk, &mut dice, &post).await;
        }
    }
}

/// Sends a message that nobody counts to all connections of a subject.
async fn notify(world: &World, desk: &mut Desk, dice: &mut Dice, post: &Post) {
    let path = format!("/v1/subjects/{}/messages", post.subject);
    let body = r#"{"event":"notice","data":"for all"}"#;
    let answer = desk
        .call(dice.below(2), "POST", &path, &world.key, Some(body))
        .await;
    match answer {
        Ok(answer) if answer.status == 202 => count(&world.tally.notices),
        Ok(answer) if answer.status == 503 => {}
        Ok(answer) => world.tally.wrong(format!("a notice: {answer:?}")),
        // The node restarts.
        Err(_) => {}
    }
}

/// Sends the next message to a connection, and repeats the call until it is acknowledged or the connection has ended.
async fn send_next(world: &World, desk: &mut Desk, dice: &mut Dice, post: &Post) {
    // Another sender sends.
    let Ok(mut acknowledged) = post.acknowledged.try_lock() else {
        return;
    };
    let (number, began) = (*acknowledged + 1, Instant::now());
    let path = format!("/v1/connections/{}/messages", post.name);
    let data = format!("{number} {}", "x".repeat(dice.below(TEXT)));
    let body = json!({ "data": data, "key": number.to_string() }).to_string();
    while !post.is_closed.load(Ordering::SeqCst) {
        let answer = desk
            .call(dice.below(2), "POST", &path, &world.key, Some(&body))
            .await;
        match answer {
            Ok(answer) if answer.status == 202 => {
                *acknowledged = number;
                count(&world.tally.sent);
                return;
            }
            // The client finds out by itself, or has ended the connection.
            Ok(answer) if matches!(answer.status, 404 | 410) => {
                post.is_closed.store(true, Ordering::SeqCst);
                return;
            }
            // The mailbox is full, or the store is slow.
            Ok(answer) if matches!(answer.status, 429 | 503) => {}
            Ok(answer) => return world.tally.wrong(format!("a message: {answer:?}")),
            // The node restarts.
            Err(_) => {}
        }
        if began.elapsed() > PATIENCE {
            return world
                .tally
                .wrong(format!("message {number} to {} is not acknowledged", post.name));
        }
        sleep(PAUSE).await;
    }
}
