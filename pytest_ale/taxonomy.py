"""The map of professional work: clusters, their subfields, and the tiers.

Plain data, imported at start-up: 13 clusters and "other", 57 subfields (docs/taxonomy.md).
"""

from __future__ import annotations

__all__ = ["CLUSTERS", "FEATURES", "TIERS"]

TIERS = ("near_term", "full_spectrum", "last_exam")

# Marker names that are no tier, cluster or subfield.
FEATURES = ("gui", "windows", "gpu", "licensed")

_CLUSTERS = {
    "engineering": "manufacturing_industrial aerospace_mechanical civil_architectural_geospatial"
    " robotics_autonomous semiconductor_microelectronics electronics chemical_process"
    " mining_petroleum_geological urban_spatial_planning energy_power_nuclear marine_naval",
    "computing_math": "data_analytics ai_cs_research software_engineering"
    " math_operations_research cybersecurity_forensics quantum_computing infrastructure_cloud",
    "visual_media": "animation_3d_interactive audio_music_post graphic_product_design"
    " fashion_apparel",
    "business_finance": "accounting_finance enterprise_analytics sales_marketing actuarial_risk"
    " compliance_regulatory hr_project quant_trading supply_chain_logistics",
    "health_medicine": "diagnostics_imaging clinical_informatics therapeutic_oncology"
    " public_health_epidemiology clinical_trials",
    "life_sciences": "biomolecular_design genomics cell_imaging systems_microbial",
    "physical_sciences": "chemistry_materials physics earth_atmospheric astronomy",
    "transport_safety": "fire_public_safety aviation_airspace maritime_port",
    "education_info": "educational_technology library_information translation_localization",
    "psychology_neuro": "experimental_neuroimaging computational_neuroscience",
    "social_sciences": "economics_quantitative",
    "agriculture_env": "environment_water precision_agriculture",
    "legal": "litigation_discovery doctrinal_research",
    "other": "sports",
}

CLUSTERS: dict[str, tuple[str, ...]] = {
    cluster: tuple(subfields.split()) for cluster, subfields in _CLUSTERS.items()
}
