"""What `playbooks/bundle.yml` collects, so that machines without internet can be made from a folder."""
