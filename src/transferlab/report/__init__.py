"""Reports: from a store to a table, an answer in sentences, or a document in HTML, Markdown or JSON.

In comes a store with plans and cells; packs are opened for pictures only. Out go plain answers, then a document of sections,
then its text and pictures. The package never trains anything, and a section that fails never takes the report with it.
"""
