//! From a struct with fields to a record.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Error, Fields, Generics, Ident, Result, Type};

use crate::attributes::{PartAttributes, TypeAttributes, bounded, option, reading};
use crate::default::Default;

/// A struct as the derive understands it.
pub(crate) struct Record {
    ident: Ident,
    generics: Generics,
    attributes: TypeAttributes,
    fields: Vec<Field>,
}

struct Field {
    ident: Ident,
    ty: Type,
    attributes: PartAttributes,
}

impl Record {
    pub(crate) fn parse(input: &DeriveInput) -> Result<Self> {
        let Data::Struct(data) = &input.data else {
            return Err(Error::new(
                input.ident.span(),
                "AvroRecord is derived for structs: an enum derives AvroType",
            ));
        };
        let Fields::Named(named) = &data.fields else {
            return Err(Error::new(
                input.ident.span(),
                "AvroRecord needs named fields: an Avro field has a name",
            ));
        };
        let mut fields: Vec<Field> = Vec::new();
        for field in &named.named {
            let field = Field::parse(&input.ident, field)?;
            let name = &field.attributes.name;
            if fields.iter().any(|f| f.attributes.name == *name) {
                return Err(Error::new(
                    field.ident.span(),
                    format!("field `{name}` is there twice"),
                ));
            }
            if field.attributes.event_time && fields.iter().any(|f| f.attributes.event_time) {
                return Err(Error::new(
                    field.ident.span(),
                    "a record has at most one event time",
                ));
            }
            fields.push(field);
        }
        Ok(Self {
            ident: input.ident.clone(),
            generics: input.generics.clone(),
            attributes: TypeAttributes::parse(&input.ident, &input.attrs)?.without_logical()?,
            fields,
        })
    }

    pub(crate) fn expand(&self) -> Result<TokenStream> {
        let krate = &self.attributes.krate;
        let (ident, name) = (&self.ident, &self.attributes.name);
        let ty = self.type_of()?;
        let idents: Vec<_> = self.fields.iter().map(|f| &f.ident).collect();
        let types: Vec<_> = self.fields.iter().map(|f| &f.ty).collect();
        let slots: Vec<_> = (0..self.fields.len())
            .map(|i| format_ident!("field_{i}"))
            .collect();
        let codes = |how: u32| (0..self.fields.len() as u32).map(move |field| field * 4 + how);
        let (same, resolved, default) = (codes(0), codes(1), codes(2));
        let event_time = match self.fields.iter().find(|f| f.attributes.event_time) {
            None => quote!(::core::option::Option::None),
            Some(field) => {
                let ident = &field.ident;
                quote!(::core::convert::Into::into(self.#ident))
            }
        };
        let (_, arguments, bounds) = self.generics.split_for_impl();
        let encode = bounded(&self.generics, &quote!(#krate::Encode));
        let (encode, ..) = encode.split_for_impl();
        let decode = reading(&self.generics, krate);
        let (decode, ..) = decode.split_for_impl();
        Ok(quote! {
            #ty

            impl #encode #krate::Encode for #ident #arguments #bounds {
                #[inline]
                fn bound(&self) -> usize {
                    0 #(+ #krate::Encode::bound(&self.#idents))*
                }

                #[inline]
                fn put(&self, out: &mut #krate::wire::Out<'_>) {
                    #(#krate::Encode::put(&self.#idents, out);)*
                    let _ = out;
                }
            }

            impl #decode #krate::Decode<'__datum> for #ident #arguments #bounds {
                #[inline]
                fn read(
                    datum: &mut #krate::Datum<'__datum>,
                ) -> ::core::result::Result<Self, #krate::DecodeError> {
                    datum.record(|datum| {
                        let _ = &datum;
                        ::core::result::Result::Ok(Self {
                            #(#idents: #krate::Decode::read(datum)?,)*
                        })
                    })
                }

                #[inline]
                fn resolve(
                    cursor: &mut #krate::Cursor<'__datum, '__datum>,
                    op: #krate::OpId,
                ) -> ::core::result::Result<Self, #krate::DecodeError> {
                    #(let mut #slots: ::core::option::Option<#types> = ::core::option::Option::None;)*
                    for step in cursor.open_record(op, #name)? {
                        // Four times the field, and how it comes.
                        match step.code {
                            #(
                                #same => #slots = ::core::option::Option::Some(cursor.same()?),
                                #resolved => #slots = ::core::option::Option::Some(
                                    #krate::Decode::resolve(cursor, step.operand)?,
                                ),
                                #default => #slots = ::core::option::Option::Some(
                                    cursor.default(step.operand)?,
                                ),
                            )*
                            _ => cursor.pass(step.operand)?,
                        }
                    }
                    cursor.close_record();
                    #(let ::core::option::Option::Some(#slots) = #slots else {
                        return ::core::result::Result::Err(#krate::DecodeError::OtherReader {
                            expected: #name,
                        });
                    };)*
                    ::core::result::Result::Ok(Self { #(#idents: #slots,)* })
                }
            }

            impl #encode #krate::AvroRecord for #ident #arguments #bounds {
                const NAME: &'static str = #name;

                fn event_time(&self) -> ::core::option::Option<#krate::Timestamp> {
                    #event_time
                }
            }
        })
    }

    fn type_of(&self) -> Result<TokenStream> {
        let krate = &self.attributes.krate;
        let ident = &self.ident;
        let TypeAttributes {
            name, aliases, doc, ..
        } = &self.attributes;
        let doc = option(doc.as_deref());
        let fields: Vec<_> = self
            .fields
            .iter()
            .map(|field| field.definition(krate))
            .collect::<Result<_>>()?;
        let types: Vec<_> = self.fields.iter().map(|f| &f.ty).collect();
        let indices = 0..self.fields.len();
        let checks = self.fields.iter().zip(indices).map(|(field, i)| {
            let default = field.attributes.default.as_ref().map(Default::span);
            let logical = field.attributes.logical.as_ref().map(|l| l.span());
            let span = default.or(logical).unwrap_or_else(|| field.ty.span());
            quote_spanned!(span=> #krate::typed::check::field(&Self::__AVRO_FIELDS[#i]);)
        });
        let (inherent, arguments, bounds) = self.generics.split_for_impl();
        let _ = inherent;
        let generics = bounded(&self.generics, &quote!(#krate::AvroType));
        let (generics, ..) = generics.split_for_impl();
        Ok(quote! {
            impl #generics #ident #arguments #bounds {
                const __AVRO_FIELDS: &'static [#krate::typed::FieldDef] = &[#(#fields),*];
            }

            impl #generics #krate::AvroType for #ident #arguments #bounds {
                const TYPE: &'static #krate::typed::Type = {
                    #(#checks)*
                    &#krate::typed::Type::Named {
                        name: #name,
                        aliases: &[#(#aliases),*],
                        doc: #doc,
                        kind: #krate::typed::Named::Record(Self::__AVRO_FIELDS),
                    }
                };
                const REFERENCE: &'static #krate::typed::Type =
                    &#krate::typed::Type::Reference(#name);
                const MIN_LEN: usize = 0 #(+ <#types as #krate::AvroType>::MIN_LEN)*;
            }
        })
    }
}

impl Field {
    fn parse(record: &Ident, field: &syn::Field) -> Result<Self> {
        let Some(ident) = field.ident.clone() else {
            return Err(Error::new(field.span(), "an Avro field has a name"));
        };
        let mut attributes = PartAttributes::parse(&ident, &field.attrs)?;
        if let Some(Default::Marked(span)) = attributes.default {
            return Err(Error::new(
                span,
                "the default of a field has a value: #[avro(default = 7)]",
            ));
        }
        attributes.recursive |= mentions(&field.ty, record);
        Ok(Self {
            ident,
            ty: field.ty.clone(),
            attributes,
        })
    }

    fn definition(&self, krate: &syn::Path) -> Result<TokenStream> {
        let PartAttributes {
            name,
            aliases,
            doc,
            event_time,
            ..
        } = &self.attributes;
        let doc = option(doc.as_deref());
        let ty = &self.ty;
        let which = if self.attributes.recursive {
            quote!(REFERENCE)
        } else {
            quote!(TYPE)
        };
        let none = quote!(::core::option::Option::None);
        let default = match &self.attributes.default {
            Some(Default::Json(json, _)) => {
                let json = json.tokens(krate)?;
                quote!(::core::option::Option::Some(#json))
            }
            _ => none.clone(),
        };
        let logical = self.attributes.logical.as_ref().map_or(none, |logical| {
            let logical = logical.tokens(krate);
            quote!(::core::option::Option::Some(#logical))
        });
        Ok(quote! {
            #krate::typed::FieldDef {
                name: #name,
                aliases: &[#(#aliases),*],
                doc: #doc,
                default: #default,
                event_time: #event_time,
                logical: #logical,
                ty: <#ty as #krate::AvroType>::#which,
            }
        })
    }
}

/// Whether a type mentions another by its name: a record that holds itself.
pub(crate) fn mentions(ty: &Type, name: &Ident) -> bool {
    fn within(tokens: TokenStream, name: &Ident) -> bool {
        tokens.into_iter().any(|token| match token {
            proc_macro2::TokenTree::Ident(ident) => ident == *name || ident == "Self",
            proc_macro2::TokenTree::Group(group) => within(group.stream(), name),
            _ => false,
        })
    }
    within(quote!(#ty), name)
}
