"""From a manifest to subsets: the published protocol and the grouped one."""
