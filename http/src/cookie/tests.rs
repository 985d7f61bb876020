//! The vectors of `http/vectors/cookies.json`, which hosts in other languages keep as well.

use serde_json::Value;

use super::{Cookie, CookieError, Lifetime, SameSite};

/// The scopes of `formerly`: pairs of a path and a domain.
fn scopes(value: &Value) -> impl Iterator<Item = (&str, Option<&str>)> {
    let scopes = value.as_array().into_iter().flatten();
    scopes.map(|scope| (scope[0].as_str().unwrap(), scope[1].as_str()))
}

fn cookie(settings: &Value) -> Result<Cookie, CookieError> {
    let mut builder = Cookie::builder();
    for (name, value) in settings.as_object().unwrap() {
        let text = value.as_str().unwrap_or_default();
        builder = match name.as_str() {
            "name" => builder.name(text),
            "path" => builder.path(text),
            "domain" => builder.domain(text),
            "secure" => builder.secure(value.as_bool().unwrap()),
            "http_only" => builder.http_only(value.as_bool().unwrap()),
            "partitioned" => builder.partitioned(value.as_bool().unwrap()),
            "same_site" => builder.same_site(match text {
                "Strict" => SameSite::Strict,
                "None" => SameSite::None,
                _ => SameSite::Lax,
            }),
            "lifetime" => builder.lifetime(match text {
                "browser-session" => Lifetime::BrowserSession,
                _ => Lifetime::AbsoluteEnd,
            }),
            "formerly" => {
                scopes(value).fold(builder, |builder, (path, domain)| builder.formerly(path, domain))
            }
            other => unreachable!("{other}"),
        };
    }
    builder.build()
}

#[test]
fn cookies_have_the_bytes_of_the_vectors() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../../vectors/cookies.json")).unwrap();
    assert!(vectors.len() > 25);
    for vector in vectors {
        let cookie = match cookie(&vector["cookie"]) {
            Err(error) => {
                assert_eq!(vector["refused"], error.to_string(), "{vector}");
                continue;
            }
            Ok(cookie) => cookie,
        };
        let (token, remaining) = (
            vector["token"].as_str().unwrap(),
            vector["remaining"].as_u64().unwrap(),
        );
        let set = cookie.set(token, remaining);
        let set = set.as_ref().map(|set| set.to_str().unwrap());
        assert_eq!(set.ok(), vector["set"].as_str(), "{vector}");
        let removals = cookie.remove_twins().chain([cookie.remove()]);
        let removals: Vec<Value> = removals
            .map(|removal| removal.unwrap().to_str().unwrap().into())
            .collect();
        assert_eq!(vector["removals"], Value::from(removals), "{vector}");
    }
}
