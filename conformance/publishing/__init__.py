"""The ledger of published reports: runs every product at hand and writes what was found of each.

``python -m conformance.publishing`` (``make ledger``) reads the products from
``reports/products.json``, runs each in a process of its own, and writes

    reports/<version of the standard>/<product>/PRODUCT.json
    reports/<version of the standard>/<product>/<profile>/report.json, report.html
    reports/<version of the standard>/<profile>.html          all of them side by side
    reports/<version of the standard>/README.md               the index, from PRODUCT.json alone

What cannot be run here is listed as not evaluated, with the reason. Published reports tell nothing
of the machine but processor, system and versions: ``redaction`` takes the rest out.
"""
