//! From a Rust enum to an Avro enum or a union, from a newtype to a fixed or the same type.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned as _;
use syn::{Data, DataEnum, DeriveInput, Error, Expr, Fields, Ident, Result, Type};

use crate::attributes::{PartAttributes, TypeAttributes, bounded, option, reading};
use crate::default::Default;
use crate::record::mentions;

pub(crate) fn expand(input: &DeriveInput, krate: syn::Path) -> Result<TokenStream> {
    let attributes = TypeAttributes::parse(&input.ident, &input.attrs, krate)?;
    match &input.data {
        Data::Enum(data) if data.variants.iter().all(|v| v.fields.is_empty()) => {
            enumeration(input, data, &attributes.without_logical()?)
        }
        Data::Enum(data) => union(input, data, &attributes.without_logical()?),
        Data::Struct(data) => match &data.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                newtype(input, &fields.unnamed[0].ty, attributes)
            }
            _ => Err(Error::new(
                input.ident.span(),
                "a struct with fields derives AvroRecord; AvroType is for enums and newtypes",
            )),
        },
        Data::Union(_) => Err(Error::new(
            input.ident.span(),
            "an Avro union is a Rust enum",
        )),
    }
}

fn enumeration(
    input: &DeriveInput,
    data: &DataEnum,
    attributes: &TypeAttributes,
) -> Result<TokenStream> {
    let TypeAttributes {
        krate,
        name,
        aliases,
        doc,
        ..
    } = attributes;
    let ident = &input.ident;
    if data.variants.is_empty() {
        return Err(Error::new(ident.span(), "an Avro enum has a symbol"));
    }
    if let Some(parameter) = input.generics.params.first() {
        return Err(Error::new(
            parameter.span(),
            "an Avro enum has no parameters",
        ));
    }
    let mut symbols: Vec<String> = Vec::new();
    let mut default = None;
    for variant in &data.variants {
        let part = PartAttributes::parse(&variant.ident, &variant.attrs)?;
        if let Some((known, span)) = part.spans.first() {
            return Err(Error::new(*span, format!("a symbol has no `{known}`")));
        }
        match &part.default {
            None => {}
            Some(Default::Json(_, span)) => {
                return Err(Error::new(
                    *span,
                    "the default symbol is marked: #[avro(default)]",
                ));
            }
            Some(Default::Marked(span)) if default.is_some() => {
                return Err(Error::new(*span, "an enum has at most one default"));
            }
            Some(Default::Marked(_)) => default = Some(part.name.clone()),
        }
        if symbols.contains(&part.name) {
            return Err(Error::new(
                variant.ident.span(),
                format!("symbol `{}` is there twice", part.name),
            ));
        }
        symbols.push(part.name);
    }
    let doc = option(doc.as_deref());
    let default = option(default.as_deref());
    let variants: Vec<_> = data.variants.iter().map(|v| &v.ident).collect();
    let positions: Vec<_> = (0..variants.len()).collect();
    let longs = positions.iter().map(|i| *i as i64);
    let count = variants.len();
    Ok(quote! {
        impl #krate::AvroType for #ident {
            const TYPE: &'static #krate::typed::Type = &#krate::typed::Type::Named {
                name: #name,
                aliases: &[#(#aliases),*],
                doc: #doc,
                kind: #krate::typed::Named::Enum(&[#(#symbols),*], #default),
            };
            const REFERENCE: &'static #krate::typed::Type = &#krate::typed::Type::Reference(#name);
            const MIN_LEN: usize = 1;
        }

        impl #krate::Encode for #ident {
            #[inline]
            fn bound(&self) -> usize {
                5
            }

            #[inline]
            fn put(&self, out: &mut #krate::wire::Out<'_>) {
                out.long(match self {
                    #(Self::#variants => #longs,)*
                });
            }
        }

        const _: () = {
            fn symbol(
                position: usize,
            ) -> ::core::result::Result<#ident, #krate::typed::DecodeError> {
                // The value alone is chosen here, so that no jump depends on which it is.
                let symbol = match position {
                    #(#positions => ::core::option::Option::Some(#ident::#variants),)*
                    _ => ::core::option::Option::None,
                };
                symbol.ok_or(#krate::typed::DecodeError::OtherReader { expected: #name })
            }

            impl<'__datum> #krate::Decode<'__datum> for #ident {
                #[inline]
                fn read(
                    datum: &mut #krate::Datum<'__datum>,
                ) -> ::core::result::Result<Self, #krate::typed::DecodeError> {
                    symbol(datum.position_of_symbol(#count)?)
                }

                #[inline]
                fn resolve(
                    cursor: &mut #krate::Cursor<'__datum, '__datum>,
                    op: #krate::OpId,
                ) -> ::core::result::Result<Self, #krate::typed::DecodeError> {
                    symbol(cursor.reader_symbol(op, #name)?)
                }
            }
        };
    })
}

struct Branch<'a> {
    ident: &'a Ident,
    /// Nothing stands for null.
    ty: Option<&'a Type>,
    recursive: bool,
}

fn union(input: &DeriveInput, data: &DataEnum, attributes: &TypeAttributes) -> Result<TokenStream> {
    let TypeAttributes { krate, name, .. } = attributes;
    let ident = &input.ident;
    let mut branches = Vec::new();
    for variant in &data.variants {
        let part = PartAttributes::parse(&variant.ident, &variant.attrs)?;
        if let Some((known, span)) = part.spans.iter().find(|(known, _)| *known != "recursive") {
            return Err(Error::new(*span, format!("a branch has no `{known}`")));
        }
        if let Some(default) = &part.default {
            return Err(Error::new(
                default.span(),
                "a union has no default of its own: put it on the field",
            ));
        }
        let ty = match &variant.fields {
            Fields::Unit => None,
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => Some(&fields.unnamed[0].ty),
            other => {
                return Err(Error::new(
                    other.span(),
                    "a branch of a union holds one value, or none for null: put more into a record",
                ));
            }
        };
        branches.push(Branch {
            ident: &variant.ident,
            recursive: part.recursive || ty.is_some_and(|ty| mentions(ty, ident)),
            ty,
        });
    }
    let null = quote!(&#krate::typed::Type::Primitive(#krate::Primitive::Null));
    let types = branches.iter().map(|branch| match branch.ty {
        None => null.clone(),
        Some(ty) if branch.recursive => quote!(<#ty as #krate::AvroType>::REFERENCE),
        Some(ty) => quote!(<#ty as #krate::AvroType>::TYPE),
    });
    let references = branches.iter().map(|branch| match branch.ty {
        None => null.clone(),
        Some(ty) => quote!(<#ty as #krate::AvroType>::REFERENCE),
    });
    let bounds = branches.iter().map(|Branch { ident, ty, .. }| match ty {
        None => quote!(Self::#ident => 0),
        Some(_) => quote!(Self::#ident(value) => #krate::Encode::bound(value)),
    });
    let puts = branches
        .iter()
        .zip(0i64..)
        .map(|(Branch { ident, ty, .. }, i)| match ty {
            None => quote!(Self::#ident => out.long(#i)),
            Some(_) => quote! {
                Self::#ident(value) => {
                    out.long(#i);
                    #krate::Encode::put(value, out);
                }
            },
        });
    let reads = branches
        .iter()
        .zip(0usize..)
        .map(|(Branch { ident, ty, .. }, i)| match ty {
            None => quote!(#i => Self::#ident),
            Some(_) => quote!(#i => Self::#ident(#krate::Decode::read(datum)?)),
        });
    let resolves = branches
        .iter()
        .zip(0u32..)
        .map(|(Branch { ident, ty, .. }, i)| match ty {
            None => quote!(#i => Self::#ident),
            Some(_) => quote!(#i => Self::#ident(cursor.branch(then)?)),
        });
    let count = branches.len();
    let (_, arguments, wheres) = input.generics.split_for_impl();
    let typed = bounded(&input.generics, &quote!(#krate::AvroType));
    let (typed, ..) = typed.split_for_impl();
    let encode = bounded(&input.generics, &quote!(#krate::Encode));
    let (encode, ..) = encode.split_for_impl();
    let decode = reading(&input.generics, krate);
    let (decode, ..) = decode.split_for_impl();
    let other = quote! {
        return ::core::result::Result::Err(#krate::typed::DecodeError::OtherReader { expected: #name })
    };
    // Shows where the type stands what is wrong with its branches.
    let check = input.generics.type_params().next().is_none().then(|| {
        let lifetimes = input.generics.lifetimes().map(|_| quote!('static));
        let ty = quote!(#ident<#(#lifetimes),*>);
        quote!(const _: &#krate::typed::Type = <#ty as #krate::AvroType>::TYPE;)
    });
    Ok(quote! {
        #check

        impl #typed #krate::AvroType for #ident #arguments #wheres {
            const TYPE: &'static #krate::typed::Type =
                &#krate::typed::check::union(&[#(#types),*]);
            const REFERENCE: &'static #krate::typed::Type =
                &#krate::typed::check::union(&[#(#references),*]);
            const MIN_LEN: usize = 1;
        }

        impl #encode #krate::Encode for #ident #arguments #wheres {
            #[inline]
            fn bound(&self) -> usize {
                5 + match self { #(#bounds,)* }
            }

            #[inline]
            fn put(&self, out: &mut #krate::wire::Out<'_>) {
                match self { #(#puts,)* }
            }
        }

        impl #decode #krate::Decode<'__datum> for #ident #arguments #wheres {
            #[inline]
            fn read(
                datum: &mut #krate::Datum<'__datum>,
            ) -> ::core::result::Result<Self, #krate::typed::DecodeError> {
                ::core::result::Result::Ok(match datum.position_of_branch(#count)? {
                    #(#reads,)*
                    _ => #other,
                })
            }

            fn resolve(
                cursor: &mut #krate::Cursor<'__datum, '__datum>,
                op: #krate::OpId,
            ) -> ::core::result::Result<Self, #krate::typed::DecodeError> {
                let (branch, then) = cursor.reader_branch(op, #name)?;
                let _ = then;
                ::core::result::Result::Ok(match branch {
                    #(#resolves,)*
                    _ => #other,
                })
            }
        }
    })
}

fn newtype(input: &DeriveInput, ty: &Type, attributes: TypeAttributes) -> Result<TokenStream> {
    let ident = &input.ident;
    let krate = attributes.krate.clone();
    let definition = match ty {
        Type::Array(array) => {
            let TypeAttributes {
                name,
                aliases,
                doc,
                logical,
                ..
            } = &attributes;
            let (doc, len): (_, &Expr) = (option(doc.as_deref()), &array.len);
            let logical = match logical {
                None => quote!(::core::option::Option::None),
                Some(logical) => {
                    let logical = logical.tokens(&krate);
                    quote!(::core::option::Option::Some(#logical))
                }
            };
            quote! {
                const TYPE: &'static #krate::typed::Type = {
                    const TYPE: &#krate::typed::Type = &#krate::typed::Type::Named {
                        name: #name,
                        aliases: &[#(#aliases),*],
                        doc: #doc,
                        kind: #krate::typed::Named::Fixed(#len, #logical),
                    };
                    if let ::core::option::Option::Some(logical) = #logical {
                        #krate::typed::check::logical(TYPE, logical);
                    }
                    TYPE
                };
                const REFERENCE: &'static #krate::typed::Type =
                    &#krate::typed::Type::Reference(#name);
            }
        }
        _ if let Some(logical) = &attributes.logical => {
            let logical = logical.tokens(&krate);
            quote! {
                const TYPE: &'static #krate::typed::Type = {
                    const TYPE: &#krate::typed::Type = <#ty as #krate::AvroType>::TYPE;
                    #krate::typed::check::newtype(TYPE, #logical);
                    &#krate::typed::Type::Logical { base: TYPE, logical: #logical }
                };
                const REFERENCE: &'static #krate::typed::Type = Self::TYPE;
            }
        }
        _ => {
            quote! {
                const TYPE: &'static #krate::typed::Type = <#ty as #krate::AvroType>::TYPE;
                const REFERENCE: &'static #krate::typed::Type =
                    <#ty as #krate::AvroType>::REFERENCE;
            }
        }
    };
    let (_, arguments, wheres) = input.generics.split_for_impl();
    let typed = bounded(&input.generics, &quote!(#krate::AvroType));
    let (typed, ..) = typed.split_for_impl();
    let encode = bounded(&input.generics, &quote!(#krate::Encode));
    let (encode, ..) = encode.split_for_impl();
    let decode = reading(&input.generics, &krate);
    let (decode, ..) = decode.split_for_impl();
    Ok(quote! {
        impl #typed #krate::AvroType for #ident #arguments #wheres {
            #definition
            const MIN_LEN: usize = <#ty as #krate::AvroType>::MIN_LEN;
        }

        impl #encode #krate::Encode for #ident #arguments #wheres {
            #[inline]
            fn bound(&self) -> usize {
                #krate::Encode::bound(&self.0)
            }

            #[inline]
            fn put(&self, out: &mut #krate::wire::Out<'_>) {
                #krate::Encode::put(&self.0, out);
            }
        }

        impl #decode #krate::Decode<'__datum> for #ident #arguments #wheres {
            #[inline]
            fn read(
                datum: &mut #krate::Datum<'__datum>,
            ) -> ::core::result::Result<Self, #krate::typed::DecodeError> {
                #krate::Decode::read(datum).map(Self)
            }

            #[inline]
            fn resolve(
                cursor: &mut #krate::Cursor<'__datum, '__datum>,
                op: #krate::OpId,
            ) -> ::core::result::Result<Self, #krate::typed::DecodeError> {
                #krate::Decode::resolve(cursor, op).map(Self)
            }
        }
    })
}
