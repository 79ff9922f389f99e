//! Lists of a bucket's keys, in order, a page at a time, those below a delimiter told as one. Version 2 of the call, and 1 for older tools.
//! A page goes on where the one before it ended: its token says behind which key, and which of the lists that the cache remembers that was in.
//! One that the cache has forgotten is looked for anew, so a token holds for ever.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kura_auth::Need;
use kura_cache::{Cache, Kind, Listed, Listing, Window};
use s3s::dto::{
    CommonPrefix, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, Object,
    ObjectStorageClass,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::Visit;
use super::error::failed;
use super::object::e_tag;
use crate::date::stored_at;
use crate::error::Refusal;
use crate::memory::{Class, Held};

/// The most keys on a page, as S3 has it.
const MAX_KEYS: usize = 1000;

/// What a page takes in memory at most, in bytes: 1,000 keys of 1 KiB, as they are and as XML, each of whose bytes may be spelled with five.
const PAGE_MEMORY: u64 = 8 << 20;

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// Which list.
    pub(crate) id: u64,
    /// Behind which key.
    pub(crate) after: Vec<u8>,
}

impl Token {
    pub(crate) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode([&self.id.to_le_bytes()[..], &self.after].concat())
    }

    pub(crate) fn decode(text: &str) -> Option<Token> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (id, after) = bytes.split_first_chunk()?;
        Some(Token { id: u64::from_le_bytes(*id), after: after.to_vec() })
    }
}

/// What is asked for.
struct Asked {
    bucket: String,
    prefix: String,
    delimiter: Option<String>,
    most: usize,
    /// Nothing where it begins anew.
    token: Option<Token>,
    after: Vec<u8>,
}

/// What is told.
#[derive(Default)]
struct Page {
    objects: Vec<Object>,
    prefixes: Vec<String>,
    /// Where the next one begins, if there is one.
    next: Option<Token>,
}

impl Page {
    fn len(&self) -> usize {
        self.objects.len() + self.prefixes.len()
    }
}

pub(super) async fn second(request: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
    let (visit, input) = (Visit::of(&request, Need::Read)?, request.input);
    let token = input.continuation_token.as_deref().map(|text| Token::decode(text).ok_or("continuation-token"));
    let token = token.transpose().map_err(|name| s3_error!(InvalidArgument, "{name} is none that was told here"))?;
    let after = token.as_ref().map(|token| token.after.clone());
    let after = after.unwrap_or_else(|| input.start_after.clone().unwrap_or_default().into_bytes());
    let asked = Asked {
        bucket: input.bucket.clone(),
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: delimiter(input.delimiter.as_deref()),
        most: most(input.max_keys)?,
        token,
        after,
    };
    let spelled = spelling(input.encoding_type.as_ref())?;
    let _held = hold(&visit)?;
    let page = page(&visit, &asked).await?;
    let told = ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(spelled(asked.prefix)),
        max_keys: Some(i32::try_from(asked.most).unwrap_or(i32::MAX)),
        key_count: Some(i32::try_from(page.len()).unwrap_or(i32::MAX)),
        continuation_token: input.continuation_token,
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.as_ref().map(Token::encode),
        contents: Some(objects(page.objects, spelled)),
        common_prefixes: Some(prefixes(page.prefixes, spelled)),
        delimiter: asked.delimiter.map(spelled),
        encoding_type: input.encoding_type,
        start_after: input.start_after.map(spelled),
        ..Default::default()
    };
    Ok(S3Response::new(told))
}

pub(super) async fn first(request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
    let (visit, input) = (Visit::of(&request, Need::Read)?, request.input);
    let asked = Asked {
        bucket: input.bucket.clone(),
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: delimiter(input.delimiter.as_deref()),
        most: most(input.max_keys)?,
        token: None,
        after: input.marker.clone().unwrap_or_default().into_bytes(),
    };
    let spelled = spelling(input.encoding_type.as_ref())?;
    let _held = hold(&visit)?;
    let page = page(&visit, &asked).await?;
    let next = page.next.map(|next| spelled(String::from_utf8_lossy(&next.after).into_owned()));
    let told = ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(spelled(asked.prefix)),
        marker: input.marker.map(spelled),
        max_keys: Some(i32::try_from(asked.most).unwrap_or(i32::MAX)),
        is_truncated: Some(next.is_some()),
        next_marker: next,
        contents: Some(objects(page.objects, spelled)),
        common_prefixes: Some(prefixes(page.prefixes, spelled)),
        delimiter: asked.delimiter.map(spelled),
        encoding_type: input.encoding_type,
        ..Default::default()
    };
    Ok(S3Response::new(told))
}

fn hold(visit: &Visit) -> S3Result<Held> {
    let held = visit.site.memory.hold(Class::Request, PAGE_MEMORY);
    Ok(held.ok_or_else(|| Refusal::overload("too many lists are under way"))?)
}

/// The page that begins there.
async fn page(visit: &Visit, asked: &Asked) -> S3Result<Page> {
    let (cache, scope) = (visit.cache()?, visit.scope(&asked.bucket)?);
    let of = Listing { scope: &scope, kind: Kind::S3, prefix: asked.prefix.as_bytes() };
    let (mut page, mut after) = (Page::default(), asked.after.clone());
    if asked.most == 0 {
        return Ok(page);
    }
    let mut remembered = asked.token.as_ref().map(|token| token.id);
    loop {
        let (window, id) = window(&cache, of, remembered.take(), &after).await?;
        if let Some(last) = fill(&mut page, asked, cache.listed(of, &window, &after), &after) {
            page.next = Some(Token { id, after: last });
            return Ok(page);
        }
        match window.last() {
            Some(last) if !window.ends() => after = last.to_vec(),
            _ => return Ok(page),
        }
    }
}

/// The list that goes on there: as it is remembered, or as it is now.
async fn window(cache: &Cache, of: Listing<'_>, id: Option<u64>, after: &[u8]) -> S3Result<(Arc<Window>, u64)> {
    let known = id.and_then(|id| Some((cache.list_again(of, id, after)?, id)));
    match known {
        Some(known) => Ok(known),
        None => cache.list(of, after).await.map_err(failed),
    }
}

/// Takes what fits the page; where there is more, behind which key that begins.
fn fill<'a>(page: &mut Page, asked: &Asked, listed: impl Iterator<Item = Listed<'a>>, from: &[u8]) -> Option<Vec<u8>> {
    let mut last = from.to_vec();
    for one in listed {
        // Clients' keys come as text, and as nothing else.
        let Ok(key) = str::from_utf8(one.key) else { continue };
        let common = asked.delimiter.as_deref().and_then(|delimiter| common_prefix(key, &asked.prefix, delimiter));
        if let Some(common) = common
            && (page.prefixes.last().is_some_and(|told| told == common) || from.starts_with(common.as_bytes()))
        {
            last = one.key.to_vec();
            continue;
        }
        if page.len() == asked.most {
            return Some(last);
        }
        match common {
            Some(common) => page.prefixes.push(common.to_owned()),
            None => page.objects.push(object(key, &one)),
        }
        last = one.key.to_vec();
    }
    None
}

/// Up to the first delimiter behind the prefix.
fn common_prefix<'a>(key: &'a str, prefix: &str, delimiter: &str) -> Option<&'a str> {
    let at = key.get(prefix.len()..)?.find(delimiter)?;
    key.get(..prefix.len() + at + delimiter.len())
}

fn object(key: &str, one: &Listed<'_>) -> Object {
    Object {
        key: Some(key.to_owned()),
        size: Some(i64::try_from(one.presence.length).unwrap_or(i64::MAX)),
        e_tag: Some(e_tag(one.presence.version)),
        last_modified: Some(stored_at(one.presence.version).into()),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..Default::default()
    }
}

fn delimiter(said: Option<&str>) -> Option<String> {
    said.filter(|said| !said.is_empty()).map(str::to_owned)
}

fn most(said: Option<i32>) -> S3Result<usize> {
    let most = usize::try_from(said.unwrap_or(1000));
    most.map(|most| most.min(MAX_KEYS)).map_err(|_| s3_error!(InvalidArgument, "max-keys is not below zero"))
}

/// How keys are told: as they are, or percent-encoded for clients whose XML has no room for every byte.
fn spelling(said: Option<&EncodingType>) -> S3Result<fn(String) -> String> {
    match said.map(EncodingType::as_str) {
        None => Ok(|key| key),
        Some(EncodingType::URL) => Ok(|key| encoded(&key)),
        Some(_) => Err(s3_error!(InvalidArgument, "encoding-type is url")),
    }
}

fn encoded(key: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    key.bytes().map(one).collect()
}

fn objects(objects: Vec<Object>, spelled: fn(String) -> String) -> Vec<Object> {
    let told = |object: Object| Object { key: object.key.map(spelled), ..object };
    objects.into_iter().map(told).collect()
}

fn prefixes(prefixes: Vec<String>, spelled: fn(String) -> String) -> Vec<CommonPrefix> {
    prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(spelled(prefix)) }).collect()
}

#[cfg(test)]
mod tests {
    use kura_cache::{Presence, Version};

    use super::*;

    /// Pages of so many keys: what each tells.
    fn pages(keys: &[&str], prefix: &str, delimiter: Option<&str>, most: usize) -> Vec<Vec<String>> {
        let (mut told, mut after) = (Vec::new(), Vec::new());
        loop {
            let asked = Asked {
                bucket: "bucket".to_owned(),
                prefix: prefix.to_owned(),
                delimiter: delimiter.map(str::to_owned),
                most,
                token: None,
                after: after.clone(),
            };
            let presence = Presence { length: 1, version: Version(1) };
            let behind = keys.iter().filter(|key| key.starts_with(prefix) && key.as_bytes() > &after[..]);
            let listed = behind.map(|key| Listed { key: key.as_bytes(), presence });
            let mut page = Page::default();
            let next = fill(&mut page, &asked, listed, &after);
            let mut one: Vec<String> = page.objects.into_iter().filter_map(|object| object.key).collect();
            one.extend(page.prefixes);
            told.push(one);
            match next {
                Some(next) => after = next,
                None => return told,
            }
        }
    }

    #[test]
    fn keys_below_a_delimiter_are_told_as_one_and_once() {
        let keys = ["a", "b/1", "b/2", "b/3/x", "c", "d/1", "d/2"];
        assert_eq!(pages(&keys, "", Some("/"), 100), [["a", "c", "b/", "d/"]]);
        assert_eq!(pages(&keys, "", Some("/"), 1), [["a"], ["b/"], ["c"], ["d/"]]);
        assert_eq!(pages(&keys, "b/", Some("/"), 2), [vec!["b/1", "b/2"], vec!["b/3/"]]);
        assert_eq!(pages(&keys, "b", None, 2), [vec!["b/1", "b/2"], vec!["b/3/x"]]);
        assert_eq!(pages(&keys, "x", None, 2), [Vec::<String>::new()]);
        assert_eq!(pages(&["ä/1", "ä/2"], "", Some("/"), 1), [["ä/"]]);
    }

    #[test]
    fn a_token_comes_back_from_its_text() {
        let token = Token { id: u64::MAX - 1, after: b"a/\xc3\xa4".to_vec() };
        assert_eq!(Token::decode(&token.encode()), Some(token));
        for bad in ["", "AAAA", "?", "AAAAAAAAAA="] {
            assert_eq!(Token::decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn keys_are_spelled_for_xml_that_cannot_hold_them() {
        assert_eq!(encoded("a/b c\u{1}ä"), "a/b%20c%01%C3%A4");
    }
}
