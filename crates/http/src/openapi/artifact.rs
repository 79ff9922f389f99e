//! What can be done about artifacts, by their surface's manner: as `exchange` does it.

use serde_json::{Value, json};

use super::route::{Content, READ, Route, TELL};
use super::{Answered, Described};
use crate::attribute;
use crate::surface::Manner;

/// What may be done at a route where artifacts are.
pub(super) fn operations(route: &Route, manner: &Manner) -> Vec<Described> {
    let one = |method: &str| match method {
        "GET" => Some(get(route, manner)),
        "HEAD" => Some(head(manner)),
        "DELETE" => Some(delete()),
        saves if saves == manner.saves => Some(save(route, manner)),
        // Those that OpenAPI knows are among the route's others.
        _ => None,
    };
    manner.allow.split(", ").filter_map(one).collect()
}

fn get(route: &Route, manner: &Manner) -> Described {
    let contents: Vec<Content> = [Some(whole(manner)), route.form].into_iter().flatten().collect();
    let part = Answered::of(206, "A part of it", &contents[..1]);
    let mut refuses = READ.to_vec();
    refuses.push(412);
    if route.form.is_some() {
        refuses.push(406);
    }
    Described {
        parameters: vec![
            condition("If-None-Match", "Versions that the client has: one of them is not sent again"),
            condition("If-Match", "The versions that will do"),
            header("Range", "One range, as in `bytes=0-99`; several or others are answered with the whole"),
            header("If-Range", "The version that the range is of"),
        ],
        gives: vec![
            found(Answered::of(200, "What is there", &contents), manner),
            found(part.with_header("Content-Range", "Which part, and of how much"), manner),
            found(Answered::of(304, "The client has it", &[]), manner),
            found(Answered::of(416, "The range is past the end", &[]), manner)
                .with_header("Content-Range", "How much there is"),
        ],
        refuses,
        ..Described::new("get", "Fetch it")
    }
}

fn head(manner: &Manner) -> Described {
    let mut refuses = READ.to_vec();
    refuses.push(412);
    Described {
        parameters: vec![
            condition("If-None-Match", "Versions that the client has"),
            condition("If-Match", "The versions that will do"),
        ],
        gives: vec![
            found(Answered::of(200, "It is there", &[]), manner),
            found(Answered::of(304, "It is there, and the client has it", &[]), manner),
        ],
        refuses,
        ..Described::new("head", "Ask whether it is there")
    }
}

fn save(route: &Route, manner: &Manner) -> Described {
    let mut parameters = vec![
        condition("If-None-Match", "`*`: only where nothing is there"),
        condition("If-Match", "The versions that may be replaced"),
    ];
    for (name, _) in kept(manner) {
        let schema = json!({ "type": "string", "maxLength": attribute::MAX_LEN });
        parameters.push(
            json!({ "name": name, "in": "header", "description": "Kept, and given back with it", "schema": schema }),
        );
    }
    let mut refuses = TELL.to_vec();
    refuses.push(412);
    if !manner.may_overwrite {
        refuses.push(409);
    }
    if !manner.keeps.iter().any(|(name, _)| *name == "content-encoding") {
        refuses.push(415);
    }
    if let Some(name) = manner.checksum {
        refuses.push(422);
        let schema = json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
        parameters.push(
            json!({ "name": name, "in": "header", "description": "The SHA-256 that the body has to have", "schema": schema }),
        );
    }
    let (status, body) = manner.stored;
    let told = if body.is_empty() { &[][..] } else { &[Content::json(|| json!({ "type": "object" }))] };
    let mut gives = vec![stored(Answered::of(status.as_u16(), "It is stored", told))];
    let created = manner.created.map(|status| stored(Answered::of(status.as_u16(), "It is stored, and is new", &[])));
    gives.extend(created);
    Described {
        parameters,
        takes: [Some(Content::bytes(Content::ANY)), route.form].into_iter().flatten().collect(),
        gives,
        refuses,
        ..Described::new(if manner.saves == "POST" { "post" } else { "put" }, "Store it")
    }
}

fn delete() -> Described {
    let mut refuses = vec![404, 412];
    refuses.extend(super::route::CHANGE);
    Described {
        parameters: vec![
            condition("If-None-Match", "Versions that are not to be removed"),
            condition("If-Match", "The versions that may be removed"),
        ],
        gives: vec![Answered::of(204, "It is gone", &[])],
        refuses,
        ..Described::new("delete", "Remove it")
    }
}

/// The headers that are kept, but for those that OpenAPI describes as the body's own, and for what a checksum has its own words for.
fn kept(manner: &Manner) -> impl Iterator<Item = &(&'static str, kura_cache::AttributeName)> {
    manner.keeps.iter().filter(|(name, _)| *name != "content-type" && manner.checksum != Some(*name))
}

/// The body as it was stored.
fn whole(manner: &Manner) -> Content {
    let says_its_type = manner.keeps.iter().any(|(name, _)| *name == "content-type");
    Content::bytes(if says_its_type { Content::ANY } else { manner.content_type })
}

fn found(answered: Answered, manner: &Manner) -> Answered {
    let answered = stored(answered).with_header("Accept-Ranges", "`bytes`");
    manner
        .keeps
        .iter()
        .filter(|(name, _)| *name != "content-type")
        .fold(answered, |answered, (name, _)| answered.with_header(name, "As it came when this was stored"))
}

fn stored(answered: Answered) -> Answered {
    answered.with_header("ETag", "The version")
}

fn condition(name: &str, about: &str) -> Value {
    header(name, about)
}

fn header(name: &str, about: &str) -> Value {
    json!({ "name": name, "in": "header", "description": about, "schema": { "type": "string" } })
}
