//! Defaults: JSON, with Rust's literals.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::{Error, Ident, Lit, LitStr, Result, Token, braced, bracketed};

/// A default as it stands in an attribute.
pub(crate) enum Default {
    /// `default = …`
    Json(Json, Span),
    /// `default` alone, on the variant that an enum falls back to.
    Marked(Span),
}

pub(crate) enum Json {
    Null,
    Literal(Lit, bool),
    Array(Vec<Json>),
    Object(Vec<(LitStr, Json)>),
}

impl Default {
    pub(crate) fn parse(input: ParseStream<'_>) -> Result<Self> {
        let span = input.span();
        Json::parse(input).map(|json| Self::Json(json, span))
    }

    pub(crate) const fn span(&self) -> Span {
        match self {
            Self::Json(_, span) | Self::Marked(span) => *span,
        }
    }
}

impl Json {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(syn::token::Bracket) {
            let items;
            bracketed!(items in input);
            let list = items.parse_terminated(Self::parse, Token![,])?;
            return Ok(Self::Array(list.into_iter().collect()));
        }
        if input.peek(syn::token::Brace) {
            let pairs;
            braced!(pairs in input);
            let pair = |input: ParseStream<'_>| {
                let key = input.parse()?;
                input.parse::<Token![:]>()?;
                Ok((key, Self::parse(input)?))
            };
            let list = pairs.parse_terminated(pair, Token![,])?;
            return Ok(Self::Object(list.into_iter().collect()));
        }
        if input.peek(Lit) {
            return Ok(Self::Literal(input.parse()?, false));
        }
        if input.peek(Token![-]) {
            input.parse::<Token![-]>()?;
            return Ok(Self::Literal(input.parse()?, true));
        }
        if input.peek(Ident::peek_any) {
            let ident = input.call(Ident::parse_any)?;
            if ident == "null" {
                return Ok(Self::Null);
            }
        }
        Err(input.error(
            "a default is a literal, null, [a list] or {\"name\": value}; an enum's is its symbol \
             as text",
        ))
    }

    pub(crate) fn tokens(&self, krate: &syn::Path) -> Result<TokenStream> {
        let json = quote!(#krate::typed::Json);
        Ok(match self {
            Self::Null => quote!(#json::Null),
            Self::Array(items) => {
                let items: Vec<_> = items
                    .iter()
                    .map(|item| item.tokens(krate))
                    .collect::<Result<_>>()?;
                quote!(#json::Array(&[#(#items),*]))
            }
            Self::Object(pairs) => {
                let pairs: Vec<_> = pairs
                    .iter()
                    .map(|(key, value)| {
                        let value = value.tokens(krate)?;
                        Ok(quote!((#key, #value)))
                    })
                    .collect::<Result<_>>()?;
                quote!(#json::Object(&[#(#pairs),*]))
            }
            Self::Literal(literal, negative) => {
                let sign = if *negative { "-" } else { "" };
                match literal {
                    Lit::Bool(v) if !negative => quote!(#json::Bool(#v)),
                    Lit::Str(v) if !negative => quote!(#json::Text(#v)),
                    Lit::ByteStr(v) if !negative => quote!(#json::Bytes(#v)),
                    Lit::Int(v) if v.suffix().is_empty() => {
                        let v: i64 = format!("{sign}{}", v.base10_digits())
                            .parse()
                            .map_err(|_| Error::new(v.span(), "a whole number has 64 bits"))?;
                        quote!(#json::Int(#v))
                    }
                    Lit::Float(v) if v.suffix().is_empty() => {
                        let value: f64 = v.base10_parse()?;
                        let value = if *negative { -value } else { value };
                        // As JSON writes it: Rust's own way keeps a point or an exponent.
                        let text = format!("{value:?}");
                        quote!(#json::Number(#text))
                    }
                    other => {
                        return Err(Error::new(
                            other.span(),
                            "a default is true, false, a number, \"text\" or b\"bytes\"",
                        ));
                    }
                }
            }
        })
    }
}
