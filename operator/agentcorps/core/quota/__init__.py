"""The namespace's ResourceQuotas as the resource pool: who may have how many agents.

`books` adds up what is taken and what is left, with what `foreign` estimates of others; `unstarted`
says which agents have no claim; `shares` divides by priority and weight; `rooms` puts them
together, into what each pool may have and create; `reclaim` chooses who leaves for others' shares.
"""
