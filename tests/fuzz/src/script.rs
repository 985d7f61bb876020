//! Calls on sessions as text, a line each, so that inputs can be read and written by hand.
//!
//! A line is a letter, the number of a handle, and what the call takes, parted by spaces:
//! `s0 name value` sets, `u0 name value|name -|…` updates, `r0 name` removes, `p0 name` pops, `c0` clears, `f0` forks,
//! `v0` saves, `l0` saves and loses the answer, `n0` saves and loses the question, `o0` opens the session again,
//! `d0` destroys, `x0` makes the host forget what the handle has seen last, `w` makes another draft.
//! A value is `n`, `t`, `f`, `i5`, `.1.5`, `"text`, `b` with bytes as text, or `j` with JSON.

use tessera_contract::Value;

/// Names and values to set, or to remove where there is no value.
pub type Changes = Vec<(String, Option<Value>)>;

#[derive(Debug)]
pub enum Step {
    Draft,
    Update(Changes),
    Set(String, Value),
    Remove(String),
    Pop(String),
    Clear,
    Fork,
    Save,
    SaveAnswerLost,
    SaveLost,
    Open,
    Destroy,
    Forget,
}

/// The handle and the step of a line.
pub fn read(line: &str) -> Option<(usize, Step)> {
    let (head, rest) = line.split_once(' ').unwrap_or((line, ""));
    let mut head = head.chars();
    let letter = head.next()?;
    let handle = head.as_str().parse().unwrap_or(0);
    let step = match letter {
        'w' => Step::Draft,
        's' => match field(rest)? {
            (name, Some(value)) => Step::Set(name, value),
            _ => return None,
        },
        'u' => Step::Update(rest.split('|').map(field).collect::<Option<_>>()?),
        'r' => Step::Remove(rest.into()),
        'p' => Step::Pop(rest.into()),
        'c' => Step::Clear,
        'f' => Step::Fork,
        'v' => Step::Save,
        'l' => Step::SaveAnswerLost,
        'n' => Step::SaveLost,
        'o' => Step::Open,
        'd' => Step::Destroy,
        'x' => Step::Forget,
        _ => return None,
    };
    Some((handle, step))
}

fn field(text: &str) -> Option<(String, Option<Value>)> {
    let (name, value) = text.split_once(' ')?;
    if value == "-" {
        return Some((name.into(), None));
    }
    let mut rest = value.chars();
    let kind = rest.next()?;
    let rest = rest.as_str();
    let value = match kind {
        'n' => Value::Null,
        't' => Value::Boolean(true),
        'f' => Value::Boolean(false),
        'i' => Value::Integer(rest.parse().ok()?),
        '.' => Value::Float(rest.parse().ok()?),
        '"' => Value::Text(rest.into()),
        'b' => Value::Bytes(rest.into()),
        'j' => Value::Json(rest.into()),
        _ => return None,
    };
    Some((name.into(), Some(value)))
}
