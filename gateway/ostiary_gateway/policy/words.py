"""What sellers are told about labels that a model saw. Never a word list, a score or a threshold."""

from collections.abc import Mapping
from types import MappingProxyType

_OTHER = "Change the images so that they meet the marketplace's rules for product images."
_REASONS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("prohibited_ads", "qr_code"): "Remove the code from the images.",
        ("prohibited_ads", "contact_details"): "Remove contact details from the images.",
        ("prohibited_ads", "off_platform"): "Remove references to other shops and services from the images.",
        (
            "prohibited_ads",
            "absolute_claim",
        ): "Remove claims that cannot be proven, such as comparisons with all others.",
        ("prohibited_ads", "medical_claim"): "Remove statements about effects on health.",
        ("prohibited_ads", "prohibited_goods"): "This kind of product may not be sold here.",
        ("nudity", "explicit"): "Use images without nudity.",
        ("nudity", "partial"): "Use images without nudity.",
        ("nudity", "suggestive"): "Use images that show the product in a neutral way.",
        (
            "nudity",
            "underwear_swimwear",
        ): "Show underwear and swimwear without a person, or in its own category.",
        (
            "logo_infringement",
            "unauthorised_brand",
        ): "Remove the brand's marks, or ask the brand for permission.",
        ("logo_infringement", "unclear_authorisation"): "Show that you may sell this brand.",
        (
            "listing_accuracy",
            "contradicted_category",
        ): "List the product in its own category, or use images that show it.",
        (
            "listing_accuracy",
            "contradicted_brand",
        ): "Name the brand that the images show, or use images of the product.",
        (
            "listing_accuracy",
            "contradicted_colour",
        ): "Name the colour that the images show, or use images of the colour that is for sale.",
        ("logo_infringement", "authorised_brand"): "Nothing needs to be changed.",
    }
)


def seller_reason(policy: str, label: str) -> str:
    """What a seller should change; a general sentence for labels that a team added."""
    return _REASONS.get((policy, label), _OTHER)
